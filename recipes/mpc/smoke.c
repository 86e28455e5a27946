/* Complex functions with known values; exits with the number of the check that failed. */
#include <complex.h>
#include <stdio.h>
#include <string.h>

#include <mpc.h>

#define CHECK(number, condition) \
    do { if (!(condition)) { fprintf(stderr, "mpc: check %d failed: %s\n", number, #condition); return number; } } while (0)

static int is(mpc_t value, size_t digits, const char *expected)
{
    char *text = mpc_get_str(10, digits, value, MPC_RNDNN);
    int same = text && !strcmp(text, expected);
    if (!same) fprintf(stderr, "mpc: %s is not %s\n", text ? text : "nothing", expected);
    mpc_free_str(text);
    return same;
}

int main(void)
{
    mpc_t a, b;
    mpc_init2(a, 160);
    mpc_init2(b, 160);

    CHECK(1, strcmp(mpc_get_version(), "1.1.0") > 0);

    /* (3 + 4i)^2 = -7 + 24i, and back */
    mpc_set_ui_ui(a, 3, 4, MPC_RNDNN);
    mpc_sqr(b, a, MPC_RNDNN);
    CHECK(2, mpc_cmp_si_si(b, -7, 24) == 0);
    mpc_sqrt(b, b, MPC_RNDNN);
    CHECK(3, mpc_cmp(a, b) == 0);

    /* exp(i) = cos 1 + i sin 1 */
    mpc_set_ui_ui(a, 0, 1, MPC_RNDNN);
    mpc_exp(a, a, MPC_RNDNN);
    CHECK(4, is(a, 30, "(5.40302305868139717400936607443e-1 8.41470984807896506652502321630e-1)"));

    /* log(-1) = i pi */
    mpc_set_si_si(a, -1, 0, MPC_RNDNN);
    mpc_log(a, a, MPC_RNDNN);
    CHECK(5, is(a, 30, "(+0 3.14159265358979323846264338328)"));

    /* One of C's complex numbers has the same parts. */
    mpc_set_si_si(a, 3, -4, MPC_RNDNN);
    long double _Complex z = mpc_get_ldc(a, MPC_RNDNN);
    CHECK(6, __real__ z == 3 && __imag__ z == -4);

    mpc_clear(a);
    mpc_clear(b);
    puts("ok");
    return 0;
}
