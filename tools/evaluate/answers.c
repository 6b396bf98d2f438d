/*
 * answers.c - what a net answered, image by image, as CSV: the way from a figure back to the pictures behind it.
 * Bytes that are not printable come as \xNN.
 */
#include "tools/evaluate/report.h"

#include "base/mem.h"
#include "data/data.h"
#include "data/store.h"
#include "tools/cli/csv.h"

#include <inttypes.h>
#include <string.h>

static void add_printable(struct rn_text *t, const char *text)
{
    const size_t length = strlen(text), room = 4 * length + 1;
    char *shown = rn_alloc(room);
    if (!shown) {
        t->failed = true;
        return;
    }
    rn_printable(shown, room, text, length);
    tool_csv_field(t, shown);
    rn_free(shown);
}

static void add_class(struct rn_text *t, const struct tool_evaluation *e, int class_index)
{
    rn_text_add(t, ",%d,", class_index);
    add_printable(t, e->names[class_index]);
}

void tool_answers_csv(struct rn_text *t, const struct tool_evaluation *e, const struct rn_split *split)
{
    const int positive = e->screening.positive_class;
    rn_text_add(t, "image,label,label_name,answer,answer_name,probability%s\n",
                e->classes == 2 ? ",positive_probability" : "");
    for (int64_t i = 0; i < e->m.count; i++) {
        const float *x = e->m.logits + i * e->classes;
        bool top1, top5;
        int answer;
        rn_score(&top1, &top5, &answer, x, e->classes, split->labels[i]);
        if (split->store) add_printable(t, split->store->picture[i].path);
        else rn_text_add(t, "%" PRId64, i);
        add_class(t, e, split->labels[i]);
        add_class(t, e, answer);
        rn_text_add(t, ",");
        rn_text_number(t, rn_confidence(x, e->classes));
        if (e->classes == 2) {
            rn_text_add(t, ",");
            rn_text_number(t, tool_probability((double)x[positive] - (double)x[1 - positive]));
        }
        rn_text_add(t, "\n");
    }
}
