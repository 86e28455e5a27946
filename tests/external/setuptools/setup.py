import native_gmp
from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "powm_setuptools._powm",
            ["src/powm_setuptools/_powm.c"],
            include_dirs=[native_gmp.get_include()],
            library_dirs=[native_gmp.get_lib_dir()],
            libraries=["gmp"],
        )
    ]
)
