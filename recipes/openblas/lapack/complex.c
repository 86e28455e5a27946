/* What f2c cannot write: complex functions that return by value, and the clock. */
#include <time.h>
#include "f2c.h"

extern void cladiv_f2c(complex *, complex *, complex *);
extern void zladiv_f2c(doublecomplex *, doublecomplex *, doublecomplex *);

float _Complex cladiv_(complex *x, complex *y) { complex v; cladiv_f2c(&v, x, y); return c_in(&v); }
double _Complex zladiv_(doublecomplex *x, doublecomplex *y) { doublecomplex v; zladiv_f2c(&v, x, y); return z_in(&v); }

/* Processor time in seconds. */
doublereal dsecnd_(void) { return (doublereal)clock() / CLOCKS_PER_SEC; }
real second_(void) { return (real)dsecnd_(); }
