/*
 * decode.c - writes pictures as this project reads them, for check_images.py: `decode FILE ...` prints for
 * each a line, "WIDTH HEIGHT" and then its planes, or "refused" and why.  Without files, the libraries
 * built in.
 */
#include "data/image.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc < 2) puts(rn_image_libraries());
    for (int i = 1; i < argc; i++) {
        struct rn_image image;
        if (rn_image_read(&image, argv[i])) {
            printf("refused %s\n", rn_error());
            continue;
        }
        printf("%d %d\n", image.width, image.height);
        fwrite(image.pixels, 3 * (size_t)image.width, (size_t)image.height, stdout);
        rn_image_free(&image);
    }
    return fflush(stdout) || ferror(stdout);
}
