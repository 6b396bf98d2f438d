/*
 * scaler.c - the rule of loss scaling by itself, for check_amp.py: `scaler SCALE INTERVAL STEPS` with STEPS of 0 and 1,
 * 1 for a step that overflowed, prints a line a step: scale, tracker, steps skipped so far.
 */
#include "base/text.h"
#include "train/scaler.h"

#include <inttypes.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct rn_scaler s = {0};
    int64_t interval;
    char text[RN_NUMBER_CHARS];
    if (argc != 4 || rn_scale_parse(&s.scale, argv[1]) || !rn_parse_int(&interval, argv[2])) return 2;
    for (const char *step = argv[3]; *step; step++) {
        rn_scaler_update(&s, *step == '1', interval);
        printf("%s %" PRId64 " %" PRId64 "\n", rn_hex_text(text, s.scale), s.tracker, s.skipped);
    }
    return fflush(stdout) || ferror(stdout);
}
