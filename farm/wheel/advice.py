"""What to do about a wheel that is not what it should be: advice that several errors share."""

from __future__ import annotations

AGAIN = "the file was damaged on its way, or made by a faulty tool: get it again, or build it again"
BACKEND = "build the wheel again with a current release of its build backend"
RENAMED = "give the file the name that it was built with: wheels must not be renamed"
REPACK = "pack the wheel again (`python -m build`, or `wheel pack` of the unpacked tree)"
RETAG = "retag it with a tool that changes the name and the content (`wheel tags`)"
