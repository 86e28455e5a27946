/* Constants, a correctly rounded function and the exponent range; exits with the number of the check that failed. */
#include <float.h>
#include <stdio.h>
#include <string.h>

#include <mpfr.h>

#define CHECK(number, condition) \
    do { if (!(condition)) { fprintf(stderr, "mpfr: check %d failed: %s\n", number, #condition); return number; } } while (0)

static int is(mpfr_t value, const char *format, const char *expected)
{
    char text[256];
    mpfr_snprintf(text, sizeof text, format, value);
    return !strcmp(text, expected);
}

int main(void)
{
    mpfr_t a, b, c;
    mpfr_inits2(200, a, b, c, (mpfr_ptr) 0);

    CHECK(1, strcmp(mpfr_get_version(), "4.0.0") > 0);
    CHECK(2, mpfr_buildopt_tls_p());

    mpfr_const_pi(a, MPFR_RNDN);
    CHECK(3, is(a, "%.50Rf", "3.14159265358979323846264338327950288419716939937511"));
    mpfr_set_ui(b, 2, MPFR_RNDN);
    mpfr_sqrt(b, b, MPFR_RNDN);
    CHECK(4, is(b, "%.50Rf", "1.41421356237309504880168872420969807856967187537695"));

    /* log(exp(1)) = 1, exp(i pi) = -1 */
    mpfr_set_ui(c, 1, MPFR_RNDN);
    mpfr_exp(c, c, MPFR_RNDN);
    CHECK(5, is(c, "%.40Rf", "2.7182818284590452353602874713526624977572"));
    mpfr_log(c, c, MPFR_RNDN);
    CHECK(6, mpfr_cmp_ui(c, 1) == 0);
    mpfr_cos(c, a, MPFR_RNDN);
    CHECK(7, mpfr_cmp_si(c, -1) == 0);

    /* A million decimal digits of exponent are no overflow; the flag is per thread and can be read. */
    mpfr_clear_flags();
    mpfr_set_ui(c, 10, MPFR_RNDN);
    mpfr_pow_ui(c, c, 1000000, MPFR_RNDN);
    CHECK(8, !mpfr_overflow_p() && mpfr_inexflag_p());

    /* 1000! by GMP's integers inside: it has 2568 digits. */
    mpfr_fac_ui(c, 1000, MPFR_RNDN);
    mpfr_log10(c, c, MPFR_RNDN);
    CHECK(9, mpfr_get_si(c, MPFR_RNDD) == 2567);

    /* Every format of long double: a value goes in and out unchanged, and pi as exactly as it can be. */
    long double third = 1.0L / 3;
    mpfr_set_ld(c, third, MPFR_RNDN);
    CHECK(10, mpfr_get_ld(c, MPFR_RNDN) == third);
    mpfr_set_ld(c, mpfr_get_ld(a, MPFR_RNDN), MPFR_RNDN);
    mpfr_sub(c, c, a, MPFR_RNDN);
    CHECK(11, mpfr_get_exp(c) <= 2 - LDBL_MANT_DIG);

    mpfr_clears(a, b, c, (mpfr_ptr) 0);
    mpfr_free_cache();
    puts("ok");
    return 0;
}
