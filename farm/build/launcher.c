/* python.exe of an assembled interpreter: what CPython's own does, with Python's DLL looked up by the name that the
   farm compiles in (LIBRARY), so that no import library is needed. */
#include <stdio.h>
#include <windows.h>

int wmain(int argc, wchar_t **argv)
{
    HMODULE library = LoadLibraryW(LIBRARY);
    int (*start)(int, wchar_t **) = library ? (int (*)(int, wchar_t **))(void *)GetProcAddress(library, "Py_Main") : NULL;
    if (!start) {
        fprintf(stderr, "python: %ls cannot be loaded (error %lu)\n", LIBRARY, GetLastError());
        return 127;
    }
    return start(argc, argv);
}
