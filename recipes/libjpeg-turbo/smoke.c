/* Encode an image, decode it, compare; through libjpeg and libturbojpeg. Exits with the number of the check that failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>
#include <turbojpeg.h>

#define CHECK(number, condition) \
    do { if (!(condition)) { fprintf(stderr, "jpeg: check %d failed: %s\n", number, #condition); return number; } } while (0)

/* Neither side is a multiple of a block or of a vector register. */
enum { WIDTH = 227, HEIGHT = 149, SIZE = WIDTH * HEIGHT * 3 };

static unsigned char image[SIZE], back[SIZE], gray[WIDTH * HEIGHT];

/* Smooth, so that little is lost at a high quality, with a different slope in each channel. */
static void paint(void)
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            unsigned char *pixel = image + 3 * (y * WIDTH + x);
            pixel[0] = (unsigned char)(x + 20);
            pixel[1] = (unsigned char)(y + 60);
            pixel[2] = (unsigned char)((x + y) / 2 + 10);
        }
}

static unsigned long encode(unsigned char **jpeg, int progressive)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned long size = 0;
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, jpeg, &size);
    c.image_width = WIDTH;
    c.image_height = HEIGHT;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, 95, TRUE);
    if (progressive)
        jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row = image + 3 * WIDTH * c.next_scanline;
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return size;
}

static int decode(const unsigned char *jpeg, unsigned long size, J_COLOR_SPACE space, unsigned char *out)
{
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr errors;
    d.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&d);
    jpeg_mem_src(&d, jpeg, size);
    if (jpeg_read_header(&d, TRUE) != JPEG_HEADER_OK || d.image_width != WIDTH || d.image_height != HEIGHT)
        return -1;
    d.out_color_space = space;
    jpeg_start_decompress(&d);
    int stride = WIDTH * d.output_components;
    while (d.output_scanline < d.output_height) {
        JSAMPROW row = out + stride * d.output_scanline;
        jpeg_read_scanlines(&d, &row, 1);
    }
    int warnings = (int)errors.num_warnings;
    jpeg_finish_decompress(&d);
    jpeg_destroy_decompress(&d);
    return warnings;
}

static int furthest(const unsigned char *a, const unsigned char *b)
{
    int worst = 0;
    for (int i = 0; i < SIZE; i++)
        if (abs(a[i] - b[i]) > worst)
            worst = abs(a[i] - b[i]);
    return worst;
}

int main(void)
{
    CHECK(1, JPEG_LIB_VERSION == 62 && LIBJPEG_TURBO_VERSION_NUMBER >= 3000000);
    paint();
    for (int progressive = 0; progressive < 2; progressive++) {
        unsigned char *jpeg = NULL;
        unsigned long size = encode(&jpeg, progressive);
        CHECK(2 + 10 * progressive, size > 1000 && size < SIZE / 5 && jpeg[0] == 0xff && jpeg[1] == 0xd8);
        memset(back, 0, SIZE);
        CHECK(3 + 10 * progressive, decode(jpeg, size, JCS_RGB, back) == 0);
        CHECK(4 + 10 * progressive, furthest(image, back) <= 6);
        CHECK(5 + 10 * progressive, decode(jpeg, size, JCS_GRAYSCALE, gray) == 0);
        /* JFIF's luminance of a pixel in the middle. */
        const unsigned char *pixel = image + 3 * (70 * WIDTH + 100);
        double luminance = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
        CHECK(6 + 10 * progressive, abs(gray[70 * WIDTH + 100] - (int)(luminance + 0.5)) <= 2);
        /* The other library must decode what this one wrote, to the same pixels. */
        unsigned char *twin = malloc(SIZE);
        tjhandle handle = tj3Init(TJINIT_DECOMPRESS);
        CHECK(7 + 10 * progressive, handle != NULL && twin != NULL && tj3DecompressHeader(handle, jpeg, size) == 0);
        CHECK(8 + 10 * progressive, tj3Get(handle, TJPARAM_JPEGWIDTH) == WIDTH);
        CHECK(9 + 10 * progressive, tj3Decompress8(handle, jpeg, size, twin, 0, TJPF_RGB) == 0);
        CHECK(10 + 10 * progressive, memcmp(twin, back, SIZE) == 0);
        tj3Destroy(handle);
        free(twin);
        free(jpeg);
    }
    puts("ok");
    return 0;
}
