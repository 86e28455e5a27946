/* powm(base, exponent, modulus) by GMP: small, but it compiles against the headers, links, and calls. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <gmp.h>

static PyObject *
powm(PyObject *self, PyObject *args)
{
    unsigned long base, exponent, modulus, result;
    mpz_t b, e, m;
    if (!PyArg_ParseTuple(args, "kkk", &base, &exponent, &modulus))
        return NULL;
    mpz_init(b), mpz_init(e), mpz_init(m);
    mpz_set_ui(b, base), mpz_set_ui(e, exponent), mpz_set_ui(m, modulus);
    mpz_powm(b, b, e, m);
    result = mpz_get_ui(b);
    mpz_clear(b), mpz_clear(e), mpz_clear(m);
    return PyLong_FromUnsignedLong(result);
}

static PyObject *
gmp_release(PyObject *self, PyObject *unused)
{
    return PyUnicode_FromString(__gmp_version);
}

static PyMethodDef methods[] = {
    {"powm", powm, METH_VARARGS, "base ** exponent % modulus"},
    {"gmp_release", gmp_release, METH_NOARGS, "the release of the GMP that is loaded"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_powm", NULL, -1, methods};

PyMODINIT_FUNC
PyInit__powm(void)
{
    return PyModule_Create(&module);
}
