/*
 * report.h - what a run folder holds, and the report written from it.
 *
 * A figure is printed with the digits of the file that has it; where a shorter form is shown, the digits stand
 * beside it.  Nothing is computed here that a file of the run says.  Every file is untrusted.
 */
#ifndef RN_TOOLS_REPORT_H
#define RN_TOOLS_REPORT_H

#include "analyze/analyze.h"
#include "base/text.h"
#include "io/value.h"
#include "tools/bench/report.h"
#include "tools/cli/options.h"

/* -- a run (run.c) ---------------------------------------------------------------------- */

/* A JSON file; root NULL: it is not there, and `why` says what that means. */
struct report_json {
    char *path, *text;
    struct rn_value *root;
    char why[512];
};

enum report_column { REPORT_EPOCH, REPORT_TRAIN_LOSS, REPORT_TRAIN_ACC, REPORT_VAL_LOSS, REPORT_VAL_ACC, REPORT_LR,
                     REPORT_IMAGES, REPORT_SECONDS, REPORT_RATE, REPORT_PEAK, REPORT_COLUMNS };

/* A line of results.csv: numbers, NaN where they are not finite, and their digits. */
struct report_epoch { double x[REPORT_COLUMNS]; const char *digits[REPORT_COLUMNS]; };

struct report_run {
    const char *folder;
    char name[120];                /* the folder's last part, fit to be printed */
    struct opt_set conf;           /* args.conf in ./train's rows */
    struct report_json summary, evaluation, bench, missed;
    char *csv;                     /* what digits point into */
    struct report_epoch *epoch;
    int epochs, best;              /* best: the epoch that is stored as the best, the first of several; -1: none */
    char best_hash[20];            /* of its weights, from hashes.txt; "" where that does not say */
    double (*roc)[2];              /* 1 - specificity, sensitivity; from roc.csv */
    int roc_points;
    char *checkpoint;              /* path of the best one, or else of the last; NULL: none */
    int64_t checkpoint_bytes;
    char build[160];               /* version and compiler of the training; "" where nothing says */
    char when[40];                 /* of summary.json, or now: 2025-08-26T20:13:14Z */
    struct rn_layer *layer;        /* of the net, from args.conf; NULL: why_net */
    int layers;
    int64_t trainable;             /* parameters that --freeze leaves */
    struct rn_net_config net;
    char why_net[256];
};

/* RN_EINPUT: the folder is none of a run, or a file in it is damaged; the message names it. */
rn_status report_run_read(struct report_run *r, const char *folder);
void report_run_free(struct report_run *r);

/* Reads NAME of the folder into *j; a file that is not there is no failure. */
rn_status report_json_read(struct report_json *j, const char *folder, const char *name);
void report_json_free(struct report_json *j);
/* What evaluation.json, bench.json and misclassified.json must have for the report; RN_EINPUT names file and key. */
rn_status report_check_evaluation(const struct report_json *j);
rn_status report_check_bench(const struct report_json *j);
rn_status report_check_missed(const struct report_json *j);
/* roc.csv in the form of ./evaluate --roc. */
rn_status report_roc_read(struct report_run *r);

/* The digits of a number as the file has them, "N/A" for what is none; *x gets its value, or NaN. */
#define REPORT_DIGITS 80
const char *report_digits(char out[REPORT_DIGITS], double *x, const struct report_json *j, const struct rn_value *v);
/* The same of the key of an object of that file. */
const char *report_number(char out[REPORT_DIGITS], double *x, const struct report_json *j, const struct rn_value *dict,
                          const char *key);
/* A text of an object, or NULL. */
const char *report_string(const struct rn_value *dict, const char *key);

/* -- what is missing (measure.c) -------------------------------------------------------- */

/* Measures what the folders lack, or have of other weights or another net, with the settings of `o`, and writes
 * it there.  What cannot be measured or written leaves its reason in why, or is said on stderr.  To be called
 * once, before anything has made threads.  RN_EUSAGE: --positive-class or --target-sensitivity does not fit a net. */
rn_status report_measure(struct report_run *r, int runs, struct opt_set *o);

/* -- the page (page.c) ------------------------------------------------------------------ */

enum { REPORT_HTML = 1, REPORT_MD = 2, REPORT_TXT = 4, REPORT_PAGE = 3, REPORT_ALL = 7 };

/* One document in three forms; `into` says which of them get what is added. */
struct report_page {
    struct rn_text html, md, txt;
    unsigned into;
    int open, column, columns;           /* what is under way, */
    unsigned begun;                      /* and in which forms */
    bool headed;                         /* the text's last line is a heading */
    int part;                            /* runs so far, where there are several */
    const struct report_head *head;      /* of the table under way */
};
/* A column: its heading; width in the text; left: words, not numbers. */
struct report_head { const char *name; int width; bool left; };

void report_begin(struct report_page *p, const char *title, const char *subtitle);
void report_end(struct report_page *p);
void report_part(struct report_page *p, const char *title);     /* one run of several */
void report_section(struct report_page *p, int number, const char *title);
void report_heading(struct report_page *p, const char *title);
/* digits: NULL, or what stands in the file where that is more than `text` shows. */
void report_field(struct report_page *p, const char *name, const char *text, const char *digits);
void report_fields(struct report_page *p, const char *name, const char *fmt, ...) RN_PRINTF(3, 4);
void report_bullet(struct report_page *p, const char *fmt, ...) RN_PRINTF(2, 3);
void report_note(struct report_page *p, const char *fmt, ...) RN_PRINTF(2, 3);
void report_table(struct report_page *p, const struct report_head *head, int columns);
void report_cell(struct report_page *p, const char *text);      /* the next of the row, or of a new one */
/* HTML only.  report_box begins a row of links ("links") or of cards ("cards"), NULL ends it. */
void report_box(struct report_page *p, const char *kind);
void report_link(struct report_page *p, int part, int number, const char *title); /* number 0: the part itself */
void report_card(struct report_page *p, const char *name, const char *text);
/* HTML only: figures stand side by side, two or, small, three in a row.  svg and a figure's caption are markup,
 * the rest is text. */
void report_figure(struct report_page *p, bool small, const char *svg, const char *caption);
void report_picture(struct report_page *p, const char *base64, const char *caption, const char *below);
void report_fold(struct report_page *p, const char *title);     /* begins what is unfolded by a click */
void report_unfold(struct report_page *p);
void report_escape(struct rn_text *t, const char *text);        /* for HTML, attributes included */

/* -- pictures (svg.c) ------------------------------------------------------------------- */

struct report_curve {
    const char *name;
    const double *x, *y;  /* NaN: a gap */
    int count;
    bool steps;           /* a staircase: y holds from x to the next */
};
struct report_chart {
    const char *x_title, *y_title;
    struct report_curve curve[8];
    int curves;
    bool unit;            /* both axes from 0 to 1, and the diagonal drawn */
    bool from_zero;       /* y begins at 0 */
    bool whole;           /* x: whole numbers from 1 on */
    bool doubling;        /* x: logarithmic, ticks at the first curve's */
    double mark;          /* an x with a dashed line; NaN: none */
};
void report_chart(struct rn_text *svg, const struct report_chart *c);
/* Bars from low + i * width over counts, or over shares where unit is set (with the diagonal). */
struct report_bars { const char *x_title, *y_title; double low, width; const double *height; int count; bool unit; };
void report_bars(struct rn_text *svg, const struct report_bars *b);
/* count[label][answer], coloured by the share of the row. */
void report_confusion(struct rn_text *svg, const int64_t *count, const char *const *names, int classes);

/* -- the sections (sections.c and beside it) --------------------------------------------- */

#define REPORT_SECTIONS 7
extern const char *const report_titles[REPORT_SECTIONS];
void report_sections(struct report_page *p, const struct report_run *r);
void report_cards(struct report_page *p, const struct report_run *r);     /* the key figures, at the top */
void report_inference(struct report_page *p, const struct report_run *r); /* section 5 */
void report_answers(struct report_page *p, const struct report_run *r);   /* its part from the evaluation */
void report_stability(struct report_page *p, const struct report_run *r); /* section 6 */
void report_baseline(struct report_page *p, const struct report_run *r);  /* section 7 */
/* The whole document of one run, or of several side by side. */
void report_compose(struct report_page *p, const struct report_run *r, int runs);

/* Figures that more than one section shows. */
const char *report_grouped(char out[40], int64_t n); /* 1234567 as "1,234,567" */
bool report_stopped_early(const struct report_run *r);
struct report_flops { int64_t parameters, macs, thop; };
struct report_flops report_flops(const struct report_run *r);
/* The result of that batch in bench.json, NULL: there is none; batch 0: the first. */
const struct rn_value *report_result(const struct report_run *r, int batch);
void report_run_curve(struct report_curve *c, const struct report_run *r, enum report_column column, double *x,
                      double *y);

#endif /* RN_TOOLS_REPORT_H */
