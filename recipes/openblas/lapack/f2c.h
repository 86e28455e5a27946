/* What C made by f2c from LAPACK includes: types, and the run time, as inline functions. There is no library behind it.

   Types are those of OpenBLAS's and every Fortran compiler's LP64 interface. Functions are declared in the generated
   code too; those declarations refer to the inline functions here. */
#ifndef FARM_F2C_H
#define FARM_F2C_H
#include <complex.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#undef complex

typedef int integer;
typedef int logical;
typedef char *address;
typedef float real;
typedef double doublereal;
typedef struct { real r, i; } complex;
typedef struct { doublereal r, i; } doublecomplex;
/* Lengths of strings are hidden last arguments. C callers leave them out or pass an int: no more than that is read. */
typedef int ftnlen;
typedef int ftnint;
#define VOID void
#define TRUE_ (1)
#define FALSE_ (0)
typedef logical (*L_fp)();

static inline float _Complex c_in(const complex *z) { float _Complex v; memcpy(&v, z, sizeof v); return v; }
static inline double _Complex z_in(const doublecomplex *z) { double _Complex v; memcpy(&v, z, sizeof v); return v; }
static inline void c_out(complex *z, float _Complex v) { memcpy(z, &v, sizeof v); }
static inline void z_out(doublecomplex *z, double _Complex v) { memcpy(z, &v, sizeof v); }

/* ---- Intrinsic functions, as f2c calls them. Those of REAL arguments return double: f2c -R narrows afterwards. ---- */
static inline double r_imag(complex *z) { return z->i; }
static inline double d_imag(doublecomplex *z) { return z->i; }
static inline void r_cnjg(complex *out, complex *z) { complex v = { z->r, -z->i }; *out = v; }
static inline void d_cnjg(doublecomplex *out, doublecomplex *z) { doublecomplex v = { z->r, -z->i }; *out = v; }
static inline double c_abs(complex *z) { return hypotf(z->r, z->i); }
static inline double z_abs(doublecomplex *z) { return hypot(z->r, z->i); }
static inline void c_div(complex *out, complex *a, complex *b) { c_out(out, c_in(a) / c_in(b)); }
static inline void z_div(doublecomplex *out, doublecomplex *a, doublecomplex *b) { z_out(out, z_in(a) / z_in(b)); }
static inline void c_sqrt(complex *out, complex *z) { c_out(out, csqrtf(c_in(z))); }
static inline void z_sqrt(doublecomplex *out, doublecomplex *z) { z_out(out, csqrt(z_in(z))); }
static inline void c_exp(complex *out, complex *z) { c_out(out, cexpf(c_in(z))); }
static inline void z_exp(doublecomplex *out, doublecomplex *z) { z_out(out, cexp(z_in(z))); }
static inline void c_sin(complex *out, complex *z) { c_out(out, csinf(c_in(z))); }
static inline void z_sin(doublecomplex *out, doublecomplex *z) { z_out(out, csin(z_in(z))); }
static inline double r_sign(real *a, real *b) { return copysignf(*a, *b); }
static inline double d_sign(doublereal *a, doublereal *b) { return copysign(*a, *b); }
static inline double r_lg10(real *x) { return log10f(*x); }
static inline double d_lg10(doublereal *x) { return log10(*x); }
static inline integer i_nint(real *x) { return (integer)roundf(*x); }
static inline integer i_dnnt(doublereal *x) { return (integer)round(*x); }

static inline double f2c_power(double base, integer exponent)
{
    double result = 1;
    unsigned left = exponent < 0 ? 0u - (unsigned)exponent : (unsigned)exponent;
    for (base = exponent < 0 ? 1 / base : base; left; left >>= 1, base *= base)
        if (left & 1)
            result *= base;
    return result;
}
static inline double pow_ri(real *base, integer *exponent) { return f2c_power(*base, *exponent); }
static inline double pow_di(doublereal *base, integer *exponent) { return f2c_power(*base, *exponent); }
static inline double pow_dd(doublereal *base, doublereal *exponent) { return pow(*base, *exponent); }

static inline integer pow_ii(integer *base, integer *exponent)
{
    integer factor = *base, left = *exponent, result = 1;
    if (left < 0)
        return factor == 1 ? 1 : factor == -1 ? (left & 1 ? -1 : 1) : 0;
    for (; left; left >>= 1, factor *= left ? factor : 1)
        if (left & 1)
            result *= factor;
    return result;
}

static inline void pow_zi(doublecomplex *out, doublecomplex *base, integer *exponent)
{
    double _Complex result = 1, factor = z_in(base);
    unsigned left = *exponent < 0 ? 0u - (unsigned)*exponent : (unsigned)*exponent;
    for (; left; left >>= 1, factor *= factor)
        if (left & 1)
            result *= factor;
    z_out(out, *exponent < 0 ? 1 / result : result);
}

static inline void pow_ci(complex *out, complex *base, integer *exponent)
{
    doublecomplex wide = { base->r, base->i }, result;
    pow_zi(&result, &wide, exponent);
    out->r = (real)result.r;
    out->i = (real)result.i;
}

/* ---- Strings, padded with blanks. ---- */
static inline integer i_len(char *text, ftnlen length) { (void)text; return length; }

static inline int s_copy(char *to, char *from, ftnlen room, ftnlen length)
{
    memmove(to, from, (size_t)(length < room ? length : room));
    if (length < room)
        memset(to + length, ' ', (size_t)(room - length));
    return 0;
}

static inline integer s_cmp(char *a, char *b, ftnlen a_length, ftnlen b_length)
{
    for (ftnlen i = 0; i < a_length || i < b_length; i++) {
        int left = i < a_length ? (unsigned char)a[i] : ' ', right = i < b_length ? (unsigned char)b[i] : ' ';
        if (left != right)
            return left - right;
    }
    return 0;
}

static inline int s_cat(char *to, char **parts, integer *lengths, integer *count, ftnlen room)
{
    for (integer i = 0; i < *count; i++) {
        ftnlen part = lengths[i] < room ? lengths[i] : room;
        memcpy(to, parts[i], (size_t)part);
        to += part;
        room -= part;
    }
    memset(to, ' ', (size_t)room);
    return 0;
}

/* ---- Fortran 90's, as fortran77.pl calls them. ---- */
static inline integer f77cei_(doublereal *x) { return (integer)ceil(*x); }
static inline integer f77exd_(doublereal *x) { int exponent = 0; if (*x != 0) frexp(*x, &exponent); return exponent; }
static inline integer f77exs_(real *x) { int exponent = 0; if (*x != 0) frexpf(*x, &exponent); return exponent; }

/* Place (from 1) of the first largest element that is a number; 1 if there is none, 0 if there is no element. */
#define FARM_LARGEST(PLACE, VALUE, TYPE)                                                       \
    static inline integer PLACE(TYPE *x, integer *n)                                           \
    {                                                                                          \
        integer best = 0;                                                                      \
        for (integer i = 1; i <= *n; i++)                                                      \
            if (x[i - 1] == x[i - 1] && (!best || x[i - 1] > x[best - 1]))                     \
                best = i;                                                                      \
        return best ? best : *n > 0;                                                           \
    }                                                                                          \
    static inline TYPE VALUE(TYPE *x, integer *n)                                              \
    {                                                                                          \
        integer place = PLACE(x, n);                                                           \
        return place ? x[place - 1] : -(TYPE)HUGE_VAL;                                         \
    }
FARM_LARGEST(f77mls_, f77mvs_, real)
FARM_LARGEST(f77mld_, f77mvd_, doublereal)

/* ---- Complex functions: f2c's return through a first argument, everybody else's (gfortran, OpenBLAS) by value. The
   build gives f2c's the suffix _f2c; complex.c gives the world cladiv_ and zladiv_. ---- */
#define FARM_DOT(NAME, TYPE, VALUE, OUT)                                                       \
    extern VALUE NAME##_(integer *, TYPE *, integer *, TYPE *, integer *);                     \
    static inline void NAME##_f2c(TYPE *out, integer *n, TYPE *x, integer *incx, TYPE *y, integer *incy) \
    {                                                                                          \
        OUT(out, NAME##_(n, x, incx, y, incy));                                                \
    }
FARM_DOT(cdotc, complex, float _Complex, c_out)
FARM_DOT(cdotu, complex, float _Complex, c_out)
FARM_DOT(zdotc, doublecomplex, double _Complex, z_out)
FARM_DOT(zdotu, doublecomplex, double _Complex, z_out)

/* As macros, and last: system headers use these words. */
#undef abs
#undef min
#undef max
#define abs(x) ((x) >= 0 ? (x) : -(x))
#define dabs(x) (doublereal)abs(x)
#define min(a, b) ((a) <= (b) ? (a) : (b))
#define max(a, b) ((a) >= (b) ? (a) : (b))
#define dmin(a, b) (doublereal)min(a, b)
#define dmax(a, b) (doublereal)max(a, b)
#endif
