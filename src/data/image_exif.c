/*
 * image_exif.c - which way up a picture is: the one field of EXIF that changes pixels.
 *
 * EXIF is a TIFF file without its picture, in either byte order: a header with the place of the first
 * directory, and there entries of 12 bytes: tag, type, count, and the value where it fits into 4 bytes.
 * Nothing else of it is looked at, so a damaged rest harms nobody.  Source: CIPA DC-008 (Exif 2.3), section
 * 4.6.
 */
#include "data/image_codec.h"

#define TAG_ORIENTATION 0x0112
#define ENTRY 12

enum { TYPE_BYTE = 1, TYPE_SHORT = 3, TYPE_LONG = 4 };

static uint32_t get(const uint8_t *p, int bytes, bool big)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint32_t)p[i] << 8 * (big ? bytes - 1 - i : i);
    return value;
}

/* The value of an orientation entry, 0 if it makes no sense. */
static int value_of(const uint8_t *entry, bool big)
{
    uint32_t type = get(entry + 2, 2, big), count = get(entry + 4, 4, big);
    int bytes = type == TYPE_BYTE ? 1 : type == TYPE_SHORT ? 2 : type == TYPE_LONG ? 4 : 0;
    uint32_t value = count == 1 && bytes ? get(entry + 8, bytes, big) : 0;
    return value <= 8 ? (int)value : 0;
}

int rn_exif_orientation(const uint8_t *tiff, size_t size)
{
    if (size < 10 || tiff[0] != tiff[1] || (tiff[0] != 'I' && tiff[0] != 'M')) return 1;
    bool big = tiff[0] == 'M';
    size_t at = get(tiff + 4, 4, big);
    if (get(tiff + 2, 2, big) != 42 || at > size - 2) return 1;
    uint32_t entries = get(tiff + at, 2, big);
    int orientation = 1;
    at += 2;
    for (uint32_t i = 0; i < entries && size - at >= ENTRY; i++, at += ENTRY)
        if (get(tiff + at, 2, big) == TAG_ORIENTATION) orientation = value_of(tiff + at, big);
    return orientation ? orientation : 1;
}
