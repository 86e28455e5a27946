"""Print the table of checks for docs/audit.md."""

from farm.gates.checks import markdown

if __name__ == "__main__":
    print(markdown(), end="")
