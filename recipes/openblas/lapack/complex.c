/* What f2c cannot write: complex functions that return by value, the clock, and the compiler's complex arithmetic. */
#include <time.h>
#include "f2c.h"

extern void cladiv_f2c(complex *, complex *, complex *);
extern void zladiv_f2c(doublecomplex *, doublecomplex *, doublecomplex *);

float _Complex cladiv_(complex *x, complex *y) { complex v; cladiv_f2c(&v, x, y); return c_in(&v); }
double _Complex zladiv_(doublecomplex *x, doublecomplex *y) { doublecomplex v; zladiv_f2c(&v, x, y); return z_in(&v); }

/* Processor time in seconds. */
doublereal dsecnd_(void) { return (doublereal)clock() / CLOCKS_PER_SEC; }
real second_(void) { return (real)dsecnd_(); }

/* What compilers call for a product or quotient in C (f2c.h: c_div, z_div, pow_zi), as Fortran compilers compute it. The
   compiler's own come with a whole run time: zig's memcpy, sqrt and exp would be linked in before those of the system. */
#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN double _Complex __muldc3(double a, double b, double c, double d)
{
    doublecomplex v = { a * c - b * d, a * d + b * c };
    return z_in(&v);
}

/* Smith's algorithm: Robert L. Smith, Algorithm 116: Complex division, CACM 5 (1962). */
HIDDEN double _Complex __divdc3(double a, double b, double c, double d)
{
    doublecomplex v;
    if (fabs(c) >= fabs(d)) {
        double ratio = d / c, scale = c + d * ratio;
        v.r = (a + b * ratio) / scale;
        v.i = (b - a * ratio) / scale;
    } else {
        double ratio = c / d, scale = c * ratio + d;
        v.r = (a * ratio + b) / scale;
        v.i = (b * ratio - a) / scale;
    }
    return z_in(&v);
}

/* In double precision neither the products nor their sum overflow or vanish. */
HIDDEN float _Complex __divsc3(float a, float b, float c, float d)
{
    double scale = (double)c * c + (double)d * d;
    complex v = { (real)(((double)a * c + (double)b * d) / scale), (real)(((double)b * c - (double)a * d) / scale) };
    return c_in(&v);
}
