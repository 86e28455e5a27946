/* The compiler wrapper: every cc, c++, ar, ... of a toolchain is a link to this program.

   It looks at the name it was called by, reads wrapper.conf beside its bin/ directory, drops and rewrites the
   arguments the compiler does not take, adds the toolchain's flags, and becomes zig. A program and no script, because
   a configure run calls it hundreds of times: it costs less than a millisecond.

   wrapper.conf has one entry per line, `key<TAB>value[<TAB>value]`:
     zig PATH          relative to the toolchain directory
     cc | c++ | build  one argument put before the caller's
     link              one argument put after the caller's when linking
     libc PATH         a library, relative too, that stands for the system's libc when linking whole files
     drop GLOB         fnmatch(3) pattern of arguments left out
     rewrite ERE TEXT  POSIX extended regular expression; \1..\9 in TEXT; applied until it no longer matches
   FARM_CFLAGS and FARM_LDFLAGS hold further arguments of one build, separated by newlines; they come last. */
#define _GNU_SOURCE
#include "wrapper.h"
#include <errno.h>
#include <fnmatch.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_RULES = 256, MAX_ROUNDS = 16, PATH_SIZE = 4096 };

struct rule { char *pattern, *text; regex_t regex; int compiled; };
static struct rule rewrites[MAX_RULES];
static char *drops[MAX_RULES];
static int rewrite_count, drop_count;
static char **out;
static size_t out_count, out_room;

void die(const char *what, const char *why)
{
    fprintf(stderr, "farm compiler wrapper: %s: %s\n", what, why);
    exit(127);
}

void *checked(void *memory)
{
    if (!memory) die("memory", "exhausted");
    return memory;
}

static void add(char *argument)
{
    if (out_count + 2 > out_room) {
        out_room = out_room ? 2 * out_room : 256;
        out = checked(realloc(out, out_room * sizeof *out));
    }
    out[out_count++] = argument;
    out[out_count] = NULL;
}

static char *substituted(const char *argument, const char *text, const regmatch_t *match)
{
    size_t size = strlen(argument) + 1;
    for (const char *p = text; *p; p++) size += strlen(argument) + 1;
    char *result = checked(malloc(size)), *end = result;
    end = mempcpy(end, argument, match[0].rm_so);
    for (const char *p = text; *p; p++) {
        if (*p == '\\' && p[1] >= '0' && p[1] <= '9') {
            const regmatch_t *group = &match[*++p - '0'];
            if (group->rm_so >= 0) end = mempcpy(end, argument + group->rm_so, group->rm_eo - group->rm_so);
        } else {
            *end++ = *p;
        }
    }
    strcpy(end, argument + match[0].rm_eo);
    return result;
}

static char *rewritten(char *argument)
{
    regmatch_t match[10];
    for (int i = 0; i < rewrite_count; i++) {
        struct rule *rule = &rewrites[i];
        if (!rule->compiled) {
            if (regcomp(&rule->regex, rule->pattern, REG_EXTENDED)) die("bad rewrite", rule->pattern);
            rule->compiled = 1;
        }
        for (int round = 0; round < MAX_ROUNDS && !regexec(&rule->regex, argument, 10, match, 0); round++)
            argument = substituted(argument, rule->text, match);
    }
    return argument;
}

static void take(char *argument)
{
    for (int i = 0; i < drop_count; i++)
        if (!fnmatch(drops[i], argument, 0)) return;
    add(argument[0] == '-' ? rewritten(argument) : argument);
}

static void take_environment(const char *name)
{
    char *value = getenv(name);
    if (!value || !*value) return;
    value = checked(strdup(value));
    for (char *word = strtok(value, "\n"); word; word = strtok(NULL, "\n")) take(word);
}

static char *home_path(const char *self, const char *relative)
{
    char *path = checked(malloc(PATH_SIZE));
    if (snprintf(path, PATH_SIZE, "%s/%s", self, relative) >= PATH_SIZE) die(relative, "path too long");
    return path;
}

/* Whether the compiler is only asked something: `cc --version`, `cc -print-search-dirs`, `cc -v` without any input. */
static int asks(int argc, char **argv)
{
    static const char *const questions[] = { "--version", "--help", "-dump*", "-print-*", "--print-*" };
    int inputs = 0;
    for (int i = 1; i < argc; i++) {
        for (size_t k = 0; k < sizeof questions / sizeof *questions; k++)
            if (!fnmatch(questions[k], argv[i], 0)) return 1;
        inputs += argv[i][0] != '-' || !argv[i][1] || argv[i][1] == 'l';
    }
    return !inputs;
}

static int links(int argc, char **argv)
{
    static const char *const stops[] = { "-c", "-S", "-E", "-M", "-MM", "-fsyntax-only" };
    for (int i = 1; i < argc; i++)
        for (size_t k = 0; k < sizeof stops / sizeof *stops; k++)
            if (!strcmp(argv[i], stops[k])) return 0;
    return !asks(argc, argv);
}

/* Whether the result is a program or a shared library of the usual kind, so one that needs the system's libc. */
static int needs_libc(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "-r") || !strcmp(argv[i], "-Wl,-r") || !strcmp(argv[i], "-static")
            || !strcmp(argv[i], "-nostdlib"))
            return 0;
    return 1;
}

int main(int argc, char **argv)
{
    static char self[PATH_SIZE];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0) die("/proc/self/exe", strerror(errno));
    for (int level = 0; level < 2; level++) *strrchr(self, '/') = 0; /* bin/wrapper -> the toolchain */

    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    if (!strcmp(name, "strip")) return 0; /* the farm strips when it links */
    int build = !strncmp(name, "build-", 6);
    const char *mode = build ? name + 6 : name;
    int compiles = !strcmp(mode, "cc") || !strcmp(mode, "c++");
    const char *section = build ? "build" : mode;

    FILE *conf = fopen(home_path(self, "wrapper.conf"), "r");
    if (!conf) die("wrapper.conf", strerror(errno));
    char *line = NULL, *zig = NULL, *libc = NULL, *link_flags[MAX_RULES];
    size_t room = 0;
    int link_count = 0;
    add(NULL);
    add((char *)(!strcmp(mode, "ld") ? "ld.lld" : mode));
    for (ssize_t size; (size = getline(&line, &room, conf)) >= 0;) {
        if (size && line[size - 1] == '\n') line[size - 1] = 0;
        char *key = line, *value = strchr(line, '\t');
        if (!value) continue;
        *value++ = 0;
        value = checked(strdup(value));
        if (!strcmp(key, "zig")) zig = home_path(self, value);
        else if (!compiles) continue;
        else if (!strcmp(key, section)) add(value);
        else if (!strcmp(key, "libc") && !build) libc = home_path(self, value);
        else if (!strcmp(key, "link") && !build && link_count < MAX_RULES) link_flags[link_count++] = value;
        else if (!strcmp(key, "drop") && drop_count < MAX_RULES) drops[drop_count++] = value;
        else if (!strcmp(key, "rewrite") && rewrite_count < MAX_RULES && strchr(value, '\t')) {
            struct rule *rule = &rewrites[rewrite_count++];
            rule->pattern = value;
            rule->text = strchr(value, '\t');
            *rule->text++ = 0;
        }
    }
    fclose(conf);
    if (!zig) die("wrapper.conf", "names no compiler");
    for (int i = 1; i < argc; i++) compiles ? take(argv[i]) : add(argv[i]);
    if (compiles && !build) {
        int linking = links(argc, argv);
        take_environment("FARM_CFLAGS");
        if (linking) {
            for (int i = 0; i < link_count; i++) add(link_flags[i]);
            take_environment("FARM_LDFLAGS");
            if (libc && needs_libc(argc, argv)) {
                add("-Wl,--as-needed");
                add(libc);
            }
        }
    }
    if (compiles && links(argc, argv)) {
        int status = split(zig, out[1], out + 2);
        if (status >= 0) return status;
    }
    out[0] = zig;
    execv(zig, out);
    die(zig, strerror(errno));
}
