/* test_settings.h - flags of ./train as the program reads and settles them, for the tiny data of test_train.h. */
#ifndef RN_TEST_SETTINGS_H
#define RN_TEST_SETTINGS_H

#include "tests/test_train.h"

#include "tools/train/settings.h"

#define FLAG_WORDS 12

/* The words of one call, apart by blanks; *o is the caller's to end. */
static inline void train_flags(struct opt_set *o, const char *flags)
{
    char text[256], program[] = "train", *argv[FLAG_WORDS + 1] = { program };
    int count = 1;
    CHECK(strlen(flags) < sizeof text);
    snprintf(text, sizeof text, "%s", flags);
    for (char *at = text; *at && count <= FLAG_WORDS;) {
        argv[count++] = at;
        at += strcspn(at, " ");
        if (*at) *at++ = '\0';
    }
    opt_begin(o, "train", "");
    opt_add(o, tool_train_rows, tool_train_rows_count);
    opt_add(o, opt_net, opt_net_count);
    opt_add(o, opt_common, opt_common_count);
    CHECK_OK(opt_parse(o, count, argv));
}

/* All the way to the configuration. */
static inline rn_status configure(struct rn_train_config *c, struct opt_set *o, const char *flags)
{
    train_flags(o, flags);
    rn_status status = tool_train_settle_precision(o);
    if (!status) status = tool_train_settle(o, tiny_data());
    return status ? status : tool_train_config(c, o, tiny_data(), NULL);
}

#endif /* RN_TEST_SETTINGS_H */
