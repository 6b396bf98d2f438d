/*
 * test_picture.h - the pictures that golden values of other programs are about: made by a rule that is as
 * short in any language, and summed up as a CRC-32 of their planes.
 */
#ifndef RN_TEST_PICTURE_H
#define RN_TEST_PICTURE_H

#include "tests/test.h"

#include "data/image.h"

#include <zlib.h>

/* Byte i of the planes [3][height][width] is (i 2654435761 mod 2^32) / 2^13 mod 256. */
static inline void make_picture(uint8_t *planes, int width, int height)
{
    const uint32_t bytes = 3 * (uint32_t)width * (uint32_t)height;
    for (uint32_t i = 0; i < bytes; i++) planes[i] = (uint8_t)(i * 2654435761u >> 13);
}

static inline uint32_t picture_crc(const uint8_t *planes, int width, int height)
{
    return (uint32_t)crc32(0, planes, 3 * (uInt)width * (uInt)height);
}

#endif /* RN_TEST_PICTURE_H */
