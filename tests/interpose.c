/* Linked into test programs of LAPACK and BLAS: the program's XERBLA and ILAENV instead of the library's.

   The suites bring their own, to see which errors are reported and to set block sizes. A library of the farm calls its
   own functions directly (-Bsymbolic), so each of the library's that the program has, too, begins with a jump to the
   program's. x86-64 only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern char xerbla_[] __attribute__((weak)), ilaenv_[] __attribute__((weak)), ilaenv2stage_[] __attribute__((weak));
extern char iparam2stage_[] __attribute__((weak)), iparmq_[] __attribute__((weak));

static void redirect(void *library, const char *name, char *program)
{
    unsigned char *old = dlsym(library, name);
    if (!program || !old || (char *)old == program)
        return;
    uintptr_t size = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)old & -size;
    if (mprotect((void *)start, 2 * size, PROT_READ | PROT_WRITE | PROT_EXEC)) {
        perror("mprotect");
        exit(99);
    }
    memcpy(old, "\x48\xb8", 2); /* mov rax, program */
    memcpy(old + 2, &program, 8);
    memcpy(old + 10, "\xff\xe0", 2); /* jmp rax */
}

__attribute__((constructor)) static void interpose(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_NOLOAD);
    if (!library) {
        fprintf(stderr, "%s is not loaded\n", LIBRARY);
        exit(99);
    }
    redirect(library, "xerbla_", xerbla_);
    redirect(library, "ilaenv_", ilaenv_);
    redirect(library, "ilaenv2stage_", ilaenv2stage_);
    redirect(library, "iparam2stage_", iparam2stage_);
    redirect(library, "iparmq_", iparmq_);
}
