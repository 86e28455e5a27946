/* Numbers whose values are known, through small and large code paths; exits with the number of the check that failed. */
#include <gmp.h>
#include <stdio.h>
#include <string.h>

#define CHECK(number, condition) \
    do { if (!(condition)) { fprintf(stderr, "gmp: check %d failed: %s\n", number, #condition); return number; } } while (0)

int main(void)
{
    mpz_t a, b, q, r, g;
    mpz_inits(a, b, q, r, g, NULL);

    CHECK(1, strcmp(gmp_version, "6.3.0") >= 0);

    /* 2^127 - 1 is prime; 2^128 - 1 is not. */
    mpz_ui_pow_ui(a, 2, 127);
    mpz_sub_ui(a, a, 1);
    CHECK(2, mpz_probab_prime_p(a, 25) > 0);
    char *text = mpz_get_str(NULL, 10, a);
    CHECK(3, !strcmp(text, "170141183460469231731687303715884105727"));

    /* 3^20000 is large enough for Toom and FFT multiplication; division and gcd give the factors back. */
    mpz_ui_pow_ui(a, 3, 20000);
    mpz_ui_pow_ui(b, 7, 15000);
    mpz_mul(q, a, b);
    mpz_tdiv_qr(g, r, q, b);
    CHECK(4, mpz_cmp(g, a) == 0 && mpz_sgn(r) == 0);
    mpz_mul_ui(r, a, 35);
    mpz_gcd(g, r, q);
    mpz_mul_ui(a, a, 7);
    CHECK(5, mpz_cmp(g, a) == 0);

    /* Fermat: 5^(p-1) = 1 mod p for p = 2^521 - 1. */
    mpz_ui_pow_ui(a, 2, 521);
    mpz_sub_ui(a, a, 1);
    mpz_sub_ui(b, a, 1);
    mpz_set_ui(q, 5);
    mpz_powm(r, q, b, a);
    CHECK(6, mpz_cmp_ui(r, 1) == 0);

    /* 100! ends with 24 zeros. */
    mpz_fac_ui(a, 100);
    mpz_ui_pow_ui(b, 10, 24);
    CHECK(7, mpz_divisible_p(a, b) && !mpz_divisible_ui_p(a, 0x7fffffff));

    mpz_clears(a, b, q, r, g, NULL);
    puts("ok");
    return 0;
}
