/* One source, compiled and linked in one call with instructions that the baseline does not have:

       cc -mavx2 check.c -o check

   Build systems ask so whether a compiler knows an instruction set, dozens of times. The compiler takes the flags for a
   processor of its own and builds all of C's run time, and C++'s, again for it: two minutes for Windows. So the source
   is compiled first, and then linked without those flags to the run time that is there. Words that this file does not
   know leave the call as it is. */
#define _GNU_SOURCE
#include "wrapper.h"
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum role { UNKNOWN, SOURCE, OUTPUT, COMPILING, LINKING, BOTH };
struct words { const char *pattern; enum role role; int value; }; /* `value`: the next word belongs to it */

/* The first pattern that matches counts. */
static const struct words table[] = {
    { "-o", OUTPUT, 1 },
    { "-MF", COMPILING, 1 }, { "-MT", COMPILING, 1 }, { "-MQ", COMPILING, 1 }, { "-M*", COMPILING, 0 },
    { "-Xlinker", LINKING, 1 }, { "-framework", LINKING, 1 }, { "-z", LINKING, 1 }, { "-u", LINKING, 1 },
    { "-e", LINKING, 1 }, { "-undefined", LINKING, 1 }, { "-install_name", LINKING, 1 },
    { "-l", LINKING, 1 }, { "-L", LINKING, 1 }, { "-l*", LINKING, 0 }, { "-L*", LINKING, 0 }, { "-Wl,*", LINKING, 0 },
    { "-s", LINKING, 0 }, { "-shared", LINKING, 0 }, { "-static*", LINKING, 0 }, { "-rdynamic", LINKING, 0 },
    { "-pie", LINKING, 0 }, { "-no-pie", LINKING, 0 }, { "-nostdlib*", LINKING, 0 },
    { "-nostartfiles", LINKING, 0 }, { "-nodefaultlibs", LINKING, 0 }, { "-dynamiclib", LINKING, 0 },
    { "-bundle", LINKING, 0 },
    { "-I", BOTH, 1 }, { "-D", BOTH, 1 }, { "-U", BOTH, 1 }, { "-include", BOTH, 1 }, { "-isystem", BOTH, 1 },
    { "-iquote", BOTH, 1 }, { "-idirafter", BOTH, 1 }, { "-imacros", BOTH, 1 }, { "-isysroot", BOTH, 1 },
    { "-target", BOTH, 1 }, { "-arch", BOTH, 1 }, { "-Xclang", BOTH, 1 }, { "-mllvm", BOTH, 1 },
    { "-m32", BOTH, 0 }, { "-m64", BOTH, 0 }, { "-mwindows", BOTH, 0 }, { "-mconsole", BOTH, 0 }, { "-mdll", BOTH, 0 },
    { "-mthreads", BOTH, 0 }, { "-municode", BOTH, 0 }, { "-mlong-double-*", BOTH, 0 },
    { "-march=*", COMPILING, 0 }, { "-m*=*", BOTH, 0 }, { "-m*", COMPILING, 0 },
    { "-x*", UNKNOWN, 0 }, { "-", UNKNOWN, 0 }, { "-*", BOTH, 0 },
    { "*.c", SOURCE, 0 }, { "*.cc", SOURCE, 0 }, { "*.cpp", SOURCE, 0 }, { "*.cxx", SOURCE, 0 },
    { "*.o", LINKING, 0 }, { "*.obj", LINKING, 0 }, { "*.a", LINKING, 0 }, { "*.lib", LINKING, 0 },
    { "*.so", LINKING, 0 }, { "*.so.*", LINKING, 0 }, { "*.dylib", LINKING, 0 }, { "*.tbd", LINKING, 0 },
};

static const struct words *known(const char *word)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!fnmatch(table[i].pattern, word, 0)) return &table[i];
    return NULL;
}

static int names_instructions(const char *word)
{
    return !strncmp(word, "-m", 2) && known(word)->role == COMPILING;
}

/* Whether this file is for the call: one source, flags for instructions, and nothing unknown. */
static int applies(char **words)
{
    int sources = 0, instructions = 0;
    for (; *words; words++) {
        const struct words *found = known(*words);
        if (!found || found->role == UNKNOWN) return 0;
        sources += found->role == SOURCE;
        instructions += names_instructions(*words);
        if (found->value && !*++words) return 0;
    }
    return sources == 1 && instructions;
}

static int run(char *program, char **words)
{
    int status;
    pid_t child = fork();
    if (child < 0) die("fork", strerror(errno));
    if (!child) {
        execv(program, words);
        die(program, strerror(errno));
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) die("wait", strerror(errno));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The words for one of the two calls; the object stands for the output of the first and for the source of the second. */
static char **half(char *compiler, char *mode, char **words, enum role left_out, char *object)
{
    size_t count = 0;
    while (words[count]) count++;
    char **result = checked(calloc(count + 6, sizeof *result)), **end = result;
    int compiling = left_out == LINKING;
    *end++ = compiler;
    *end++ = mode;
    for (; *words; words++) {
        const struct words *found = known(*words);
        int keep = found->role != left_out && !(compiling && found->role == OUTPUT);
        if (keep) *end++ = !compiling && found->role == SOURCE ? object : *words;
        if (found->value && *++words && keep) *end++ = *words;
    }
    if (compiling) {
        *end++ = "-c";
        *end++ = "-o";
        *end++ = object;
    }
    return result;
}

int split(char *compiler, char *mode, char **words)
{
    static char object[4096];
    if (!applies(words)) return -1;
    const char *place = getenv("TMPDIR");
    if (snprintf(object, sizeof object, "%s/farm-XXXXXX.o", place && *place ? place : "/tmp") >= (int)sizeof object)
        return -1;
    int handle = mkstemps(object, 2);
    if (handle < 0) return -1;
    close(handle);
    int status = run(compiler, half(compiler, mode, words, LINKING, object));
    if (!status) status = run(compiler, half(compiler, mode, words, COMPILING, object));
    unlink(object);
    return status;
}
