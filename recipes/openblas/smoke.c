/* BLAS and LAPACK against definitions, small and large, with one thread and with several. Exits with the number of the
   check that failed. OPENBLAS_CORETYPE chooses the processor whose kernels are tried. The argument is the order of the
   largest product: by default one that is more than a block in every direction and takes an emulator seconds. */
#include <complex.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cblas.h>
#include <lapacke.h>

#define CHECK(number, condition) \
    do { if (!(condition)) { fprintf(stderr, "openblas: check %d failed: %s\n", number, #condition); return number; } } while (0)

static unsigned long long state = 88172645463325252ull;

/* Uniform in -1..1: the same numbers on every platform. */
static double next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) / 4503599627370496.0 - 1.0;
}

/* cabs, which Wine's C library lacks. */
static double length(double _Complex z) { return hypot(creal(z), cimag(z)); }

static double *matrix(size_t count)
{
    double *numbers = malloc(count * sizeof *numbers);
    for (size_t i = 0; numbers && i < count; i++)
        numbers[i] = next();
    return numbers;
}

static double distance(const double *a, const double *b, size_t count)
{
    double worst = 0;
    for (size_t i = 0; i < count; i++)
        worst = fmax(worst, fabs(a[i] - b[i]));
    return worst;
}

/* Every element of a product of n x n matrices, against the definition. */
static double whole_product(int n)
{
    double *a = matrix((size_t)n * n), *b = matrix((size_t)n * n), *c = matrix((size_t)n * n), worst = 0;
    cblas_dgemm(CblasColMajor, CblasNoTrans, CblasTrans, n, n, n, 1, a, n, b, n, 0, c, n);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int k = 0; k < n; k++)
                sum += a[i + (size_t)k * n] * b[j + (size_t)k * n];
            worst = fmax(worst, fabs(sum - c[i + (size_t)j * n]));
        }
    free(a), free(b), free(c);
    return worst;
}

/* (A B) x = A (B x): a large product against two small ones, every element of it taking part. */
static double large_product(int n)
{
    double *a = matrix((size_t)n * n), *b = matrix((size_t)n * n), *c = matrix((size_t)n * n);
    double *x = matrix(n), *y = calloc(n, sizeof *y), *z = calloc(n, sizeof *z), *w = calloc(n, sizeof *w), worst;
    cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, c, n);
    for (int j = 0; j < n; j++)
        for (int i = 0; i < n; i++) {
            y[i] += b[i + (size_t)j * n] * x[j];
            w[i] += c[i + (size_t)j * n] * x[j];
        }
    for (int j = 0; j < n; j++)
        for (int i = 0; i < n; i++)
            z[i] += a[i + (size_t)j * n] * y[j];
    worst = distance(z, w, n) / n;
    free(a), free(b), free(c), free(x), free(y), free(z), free(w);
    return worst;
}

static double solved(int n)
{
    double *a = matrix((size_t)n * n), *x = matrix(n), *lu = matrix((size_t)n * n), *b = calloc(n, sizeof *b), worst;
    int *pivots = malloc(n * sizeof *pivots), one = 1, info = 7;
    memcpy(lu, a, (size_t)n * n * sizeof *a);
    for (int j = 0; j < n; j++)
        for (int i = 0; i < n; i++)
            b[i] += a[i + (size_t)j * n] * x[j];
    LAPACK_dgesv(&n, &one, lu, &n, pivots, b, &n, &info);
    worst = info ? HUGE_VAL : distance(b, x, n);
    free(a), free(x), free(lu), free(b), free(pivots);
    return worst;
}

/* |A v - w v| over all eigenpairs of a symmetric matrix. */
static double eigenpairs(int n)
{
    double *a = matrix((size_t)n * n), *v = matrix((size_t)n * n), *w = matrix(n), *av = matrix((size_t)n * n), worst;
    for (int j = 0; j < n; j++)
        for (int i = 0; i < j; i++)
            a[j + (size_t)i * n] = a[i + (size_t)j * n];
    memcpy(v, a, (size_t)n * n * sizeof *a);
    if (LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', n, v, n, w))
        return HUGE_VAL;
    cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, v, n, 0, av, n);
    for (int j = 0; j < n; j++)
        for (int i = 0; i < n; i++)
            v[i + (size_t)j * n] *= w[j];
    worst = distance(av, v, (size_t)n * n);
    free(a), free(v), free(w), free(av);
    return worst;
}

/* |U S V' - A| of a complex matrix: the complex half of LAPACK and its helpers. */
static double singular_values(int n)
{
    size_t count = (size_t)n * n;
    double _Complex *a = malloc(count * sizeof *a), *copy = malloc(count * sizeof *a), *u = malloc(count * sizeof *a);
    double _Complex *vt = malloc(count * sizeof *a), one = 1, zero = 0;
    double *s = malloc(n * sizeof *s), worst = 0;
    for (size_t i = 0; i < count; i++) {
        double re = next(), im = next();
        copy[i] = a[i] = re + im * I;
    }
    if (LAPACKE_zgesdd(LAPACK_COL_MAJOR, 'A', n, n, copy, n, s, u, n, vt, n))
        return HUGE_VAL;
    for (int j = 0; j < n; j++)
        for (int i = 0; i < n; i++)
            u[i + (size_t)j * n] *= s[j];
    cblas_zgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, n, n, n, &one, u, n, vt, n, &zero, copy, n);
    for (size_t i = 0; i < count; i++)
        worst = fmax(worst, length(copy[i] - a[i]));
    free(a), free(copy), free(u), free(vt), free(s);
    return worst;
}

/* Largest |A v - w v| of a nonsymmetric matrix, for the real eigenvalues. */
static double real_eigenvectors(int n)
{
    double *a = matrix((size_t)n * n), *copy = matrix((size_t)n * n), *v = matrix((size_t)n * n), *re = matrix(n);
    double *im = matrix(n), worst = 0;
    int seen = 0;
    memcpy(copy, a, (size_t)n * n * sizeof *a);
    if (LAPACKE_dgeev(LAPACK_COL_MAJOR, 'N', 'V', n, copy, n, re, im, NULL, n, v, n))
        return HUGE_VAL;
    for (int j = 0; j < n; j++)
        for (int i = 0; im[j] == 0 && i < n; i++, seen++) {
            double sum = -re[j] * v[i + (size_t)j * n];
            for (int k = 0; k < n; k++)
                sum += a[i + (size_t)k * n] * v[k + (size_t)j * n];
            worst = fmax(worst, fabs(sum));
        }
    free(a), free(copy), free(v), free(re), free(im);
    return seen ? worst : HUGE_VAL;
}

int main(int argc, char **argv)
{
    int large = argc > 1 ? atoi(argv[1]) : 800;
    double _Complex three_four = 3 - 4 * I, one_two = 1 + 2 * I;

    CHECK(1, strncmp(openblas_get_config(), "OpenBLAS 0.3.", 13) == 0);
    openblas_set_num_threads(2);
    CHECK(2, openblas_get_num_threads() == 2 && openblas_get_parallel() == OPENBLAS_THREAD);
    for (int threads = 1; threads <= 2; threads++) {
        openblas_set_num_threads(threads);
        CHECK(10 * threads + 1, whole_product(7) < 1e-13 && whole_product(200) < 1e-11);
        CHECK(10 * threads + 2, large_product(large) < 1e-11);
        CHECK(10 * threads + 3, solved(300) < 1e-8);
        CHECK(10 * threads + 4, eigenpairs(150) < 1e-10);
        CHECK(10 * threads + 5, singular_values(90) < 1e-11);
        CHECK(10 * threads + 6, real_eigenvectors(91) < 1e-10);
    }
    double _Complex divided = -0.2 + 0.4 * I, dot;  /* not computed: the compiler's run time is wrong on ppc64le */
    cblas_zdotc_sub(1, &three_four, 1, &one_two, 1, &dot);
    CHECK(31, length(dot - conj(three_four) * one_two) < 1e-14);
    double _Complex zladiv_(double _Complex *, double _Complex *);  /* no header declares it */
    CHECK(32, length(zladiv_(&one_two, &three_four) - divided) < 1e-15);
    CHECK(33, LAPACKE_dlamch('E') == 0x1p-53 && LAPACKE_slamch('E') == 0x1p-24f && LAPACKE_dlamch('S') == 0x1p-1022);
    printf("ok: %s, %s\n", openblas_get_config(), openblas_get_corename());
    return 0;
}
