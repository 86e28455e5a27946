"""What is compiled into dependents from headers: told where it is another one."""

from __future__ import annotations

import pytest

from farm.abi import header_code

HEADER = """
#ifndef T_H
#define T_H
/* a comment with { and #define NOT 1 */
#ifdef __cplusplus
extern "C" {
#endif
#define T_SIZE 4
#define t_open(name) t_open_((name), T_SIZE)
#define T_API extern
#if defined(_WIN32)
# define T_CALL __stdcall
typedef struct { void *handle; } t_own;
#else
# define T_CALL
typedef struct { int fd; } t_own;
#endif
struct t { int a; double b __attribute__((aligned(16))); };
T_API int T_CALL t_open_(const char *, int);
static inline int t_sign(const struct t *t) {
  if (t->a < 0) { return -1; }
  return t->a > 0; // "}"
}
T_API __inline__ int t_first (struct t *t)
{
#ifdef FAST
  return 1;
#endif
  return 2;
}
#ifdef __cplusplus
}
#endif
#endif
"""


@pytest.mark.parametrize(
    ("old", "new", "format_", "said"),
    [
        ("a comment", "another", "elf", ()),
        ("  return t->a > 0; // ", "  return  t->a  > 0; /* */ // ", "elf", ()),
        ("T_API int T_CALL t_open_", "int t_new(void);\nT_API int T_CALL t_open_", "elf", ()),
        ("#define T_SIZE 4", "#define T_SIZE 8", "elf", ()),
        ("struct t { int a;", "struct t { int a, c;", "elf", ()),
        ("return t->a > 0", "return t->a != 0", "elf", ("the function t_sign",)),
        ("return 1;", "return 3;", "elf", ("the function t_first",)),
        ("static inline int t_sign", "static inline long t_sign", "elf", ("the function t_sign",)),
        ("t_open_((name), T_SIZE)", "t_open_(T_SIZE, (name))", "elf", ("the macro t_open",)),
        ("__stdcall", "__cdecl", "elf", ("the macro T_CALL",)),
        ("aligned(16)", "aligned(32)", "elf", ("an alignment",)),
        ("void *handle;", "void *handle, *other;", "elf", ()),
        ("void *handle;", "void *handle, *other;", "pe", ("what is for this system alone",)),
        ("void *handle;", "void *handle, *other;", "macho", ()),
    ],
)
def test_what_a_dependent_carries(old: str, new: str, format_: str, said: tuple[str, ...]) -> None:
    assert HEADER.count(old) >= 1
    assert header_code.lost([HEADER], [HEADER.replace(old, new)], format_) == said


def test_what_moved_to_another_header_is_still_there() -> None:
    assert header_code.lost([HEADER], ["int other(void);", HEADER], "pe") == ()
    assert header_code.lost([HEADER], [], "elf")[0] == "an alignment"


def test_texts_that_end_in_the_middle() -> None:
    for text in ("{", "inline int f(void) {", "#if", "#endif", "}", "#define X(", '"'):
        assert header_code.lost([text], [text], "pe") == ()
