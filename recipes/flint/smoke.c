/* Integers, polynomials, matrices, number theory and balls; exits with the number of the check that failed. */
#include <stdio.h>
#include <string.h>

#include <flint/flint.h>
#include <flint/fmpz.h>
#include <flint/fmpz_factor.h>
#include <flint/fmpz_mat.h>
#include <flint/fmpz_poly.h>
#include <flint/arb.h>

#define CHECK(number, condition) \
    do { if (!(condition)) { fprintf(stderr, "flint: check %d failed: %s\n", number, #condition); return number; } } while (0)

int main(void)
{
    fmpz_t a, b, c;
    fmpz_init(a);
    fmpz_init(b);
    fmpz_init(c);

    CHECK(1, strcmp(flint_version, "3.0.0") > 0);

    /* Large multiplication against its own inverse: the size reaches FLINT's FFT. */
    fmpz_ui_pow_ui(a, 3, 300000);
    fmpz_ui_pow_ui(b, 7, 200000);
    fmpz_mul(c, a, b);
    fmpz_divexact(c, c, b);
    CHECK(2, fmpz_equal(a, c));

    /* 2^67 - 1 = 193707721 * 761838257287 */
    fmpz_factor_t factors;
    fmpz_factor_init(factors);
    fmpz_ui_pow_ui(a, 2, 67);
    fmpz_sub_ui(a, a, 1);
    fmpz_factor(factors, a);
    CHECK(3, factors->num == 2 && fmpz_cmp_ui(factors->p + 0, 193707721) == 0);
    fmpz_factor_clear(factors);

    /* (x + 1)^1000 divided by (x + 1)^999 */
    fmpz_poly_t p, q, r;
    fmpz_poly_init(p);
    fmpz_poly_init(q);
    fmpz_poly_init(r);
    fmpz_poly_set_coeff_ui(p, 0, 1);
    fmpz_poly_set_coeff_ui(p, 1, 1);
    fmpz_poly_pow(q, p, 999);
    fmpz_poly_mul(r, q, p);
    CHECK(4, fmpz_poly_divides(r, r, q) && fmpz_poly_equal(r, p));
    fmpz_poly_clear(p);
    fmpz_poly_clear(q);
    fmpz_poly_clear(r);

    /* The determinant of the Hilbert-like matrix min(i, j) is 1. */
    fmpz_mat_t m;
    fmpz_mat_init(m, 30, 30);
    for (slong i = 0; i < 30; i++)
        for (slong j = 0; j < 30; j++)
            fmpz_set_si(fmpz_mat_entry(m, i, j), (i < j ? i : j) + 1);
    fmpz_mat_det(a, m);
    CHECK(5, fmpz_is_one(a));
    fmpz_mat_clear(m);

    /* A ball around pi to 300 bits holds 355/113 - pi to the right side. */
    arb_t x, y;
    arb_init(x);
    arb_init(y);
    arb_const_pi(x, 300);
    arb_set_ui(y, 355);
    arb_div_ui(y, y, 113, 300);
    CHECK(6, arb_gt(y, x) && arb_rel_accuracy_bits(x) > 290);
    char *text = arb_get_str(x, 30, ARB_STR_NO_RADIUS);
    CHECK(7, !strncmp(text, "3.1415926535897932384626433832", 30));
    flint_free(text);
    arb_clear(x);
    arb_clear(y);

    fmpz_clear(a);
    fmpz_clear(b);
    fmpz_clear(c);
    flint_cleanup();
    puts("ok");
    return 0;
}
