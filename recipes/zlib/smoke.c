/* Compress and decompress in one call and as a stream, with checksums whose values are in the standards' test vectors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define CHECK(condition)                                          \
    do {                                                          \
        if (!(condition)) {                                       \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            return 1;                                             \
        }                                                         \
    } while (0)

enum { SIZE = 200000, PIECE = 777 };

static unsigned char text[SIZE], packed[SIZE + 1000], back[SIZE];

/* A gzip stream in small pieces; gives its length, 0 if anything fails. */
static size_t packed_in_pieces(void)
{
    z_stream stream;
    memset(&stream, 0, sizeof stream);
    if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK) return 0;
    stream.next_out = packed;
    stream.avail_out = sizeof packed;
    for (size_t at = 0; at < SIZE; at += PIECE) {
        stream.next_in = text + at;
        stream.avail_in = (uInt)(SIZE - at < PIECE ? SIZE - at : PIECE);
        if (deflate(&stream, Z_NO_FLUSH) != Z_OK || stream.avail_in) return 0;
    }
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END) return 0;
    size_t size = stream.total_out;
    return deflateEnd(&stream) == Z_OK ? size : 0;
}

static int unpacked_in_pieces(size_t size)
{
    z_stream stream;
    int state = Z_OK;
    memset(&stream, 0, sizeof stream);
    memset(back, 0, sizeof back);
    if (inflateInit2(&stream, 15 + 32) != Z_OK) return 0;
    stream.next_out = back;
    stream.avail_out = sizeof back;
    for (size_t at = 0; at < size && state == Z_OK; at += PIECE) {
        stream.next_in = packed + at;
        stream.avail_in = (uInt)(size - at < PIECE ? size - at : PIECE);
        state = inflate(&stream, Z_NO_FLUSH);
    }
    return state == Z_STREAM_END && stream.total_out == SIZE && inflateEnd(&stream) == Z_OK;
}

int main(void)
{
    const unsigned char *digits = (const unsigned char *)"123456789";
    CHECK(strcmp(zlibVersion(), ZLIB_VERSION) == 0);
    CHECK(crc32(0, digits, 9) == 0xCBF43926UL);
    CHECK(adler32(1, digits, 9) == 0x091E01DEUL);
    CHECK(adler32(1, (const unsigned char *)"Wikipedia", 9) == 0x11E60398UL);
    CHECK(crc32_combine(crc32(0, digits, 4), crc32(0, digits + 4, 5), 5) == 0xCBF43926UL);

    unsigned state = 1;
    for (size_t i = 0; i < SIZE; i++) {
        state = state * 1103515245u + 12345u;
        text[i] = (unsigned char)(i % 7 ? "lossless"[i % 8] : state >> 16 & 0x1F);
    }
    uLongf size = sizeof packed, length = sizeof back;
    CHECK(compress2(packed, &size, text, SIZE, 9) == Z_OK && size < SIZE / 4);
    CHECK(uncompress(back, &length, packed, size) == Z_OK && length == SIZE && memcmp(back, text, SIZE) == 0);
    packed[size / 2] ^= 0x55;
    length = sizeof back;
    CHECK(uncompress(back, &length, packed, size) != Z_OK);

    size_t gzip = packed_in_pieces();
    CHECK(gzip > 18 && gzip < SIZE / 4 && packed[0] == 0x1F && packed[1] == 0x8B);
    CHECK(unpacked_in_pieces(gzip) && memcmp(back, text, SIZE) == 0);
    CHECK(crc32(0, back, SIZE) == crc32(0, text, SIZE));
    printf("zlib %s: %d bytes in %lu and back\n", zlibVersion(), SIZE, (unsigned long)gzip);
    return 0;
}
