/* report_published.c - this net in other counters and in the literature. */
#include "tools/characterize/report.h"

#include <stdio.h>
#include <string.h>

static void counters(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "counter", 12, true }, { "its number", 18, false },
                                               { "its unit", 60, true }, { "left out", 60, true } };
    char a[RN_NUMBER_CHARS];
    page_heading(p, "Other counters of the same net; --convention explains each");
    page_table(p, head, RN_COUNT(head));
    for (int i = 0; i < RN_CONVENTIONS; i++) {
        struct rn_convention v;
        if (rn_convention_of(&v, rn_convention_names()[i], &c->trace)) continue;
        const char *const row[] = { v.name, characterize_grouped(a, v.total), v.unit, v.left_out };
        page_row(p, row, RN_COUNT(row));
    }
}

/* What the report of 2025-10-17 quotes of ResNet-18, beside what the sources say. */
static void literature(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "source", 40, true }, { "quoted there", 30, true },
                                               { "verdict", 70, true } };
    char m[RN_NUMBER_CHARS], vision_verdict[200];
    const bool parameters = !strcmp(characterize_millions(m, c->counts.parameters), "11.69");
    char a[RN_NUMBER_CHARS], verdict[200];
    page_heading(p, "Published figures");
    page_table(p, head, RN_COUNT(head));
    snprintf(verdict, sizeof verdict, "corrected because the paper's FLOP is a multiply-accumulate: %s here; its "
             "accuracy "
             "is of 10 crops, 72.12 %%: 69.8 %% is torchvision's", characterize_grouped(a, c->counts.work[0].macs));
    const char *const paper[] = { "He et al. 2016", "1.8 GFLOPs, 11.7M, 69.8 %", verdict };
    page_row(p, paper, RN_COUNT(paper));
    snprintf(vision_verdict, sizeof vision_verdict, "%s million parameters here, %s; its own table says 1.81 G, "
             "MACs like ours, and 69.758 %%", m, parameters ? "same" : "not the same");
    const char *const vision[] = { "torchvision", "1.82 GFLOPs, 11.69M, 69.76 %", vision_verdict };
    page_row(p, vision, RN_COUNT(vision));
    const char *const theirs[] = { "report of 2025-10-17", "3.79 GFLOPs, \"true computational cost\"",
                                   "corrected because of section 4" };
    page_row(p, theirs, RN_COUNT(theirs));
    page_note(p, "That the usual 1.8 G leave out batch norm, ReLU, additions and biases is true and makes %s %%; "
              "the factor of 2 between MACs and FLOPs is what it takes for them.",
              rn_fixed_text(a, characterize_small_share(c), 2));
}

void characterize_published(struct page *p, const struct characterize *c)
{
    page_section(p, "Published figures and other counters");
    counters(p, c);
    if (characterize_is_seeds(c)) literature(p, c);
}
