/*
 * sections.c - what the report says of a run, section by section, each field under the name that the
 * reports of PyTorch baselines use for it.
 */
#include "tools/report/report.h"

#include "base/mem.h"
#include "observe/observe.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const report_titles[REPORT_SECTIONS] = {
    "Experiment Metadata", "Model Architecture Specifications", "Training Configuration", "Training Results",
    "Inference Performance Analysis", "Training Stability Analysis", "Baseline Reference for Future Comparisons",
};

/* -- figures ----------------------------------------------------------------------------------- */

/* thop (pytorch-OpCounter) counts a multiply-accumulate as one, 4 for each output of an affine batch norm, and
 * the kernel's size and one more for each output of the adaptive average pool; nothing for ReLU, max pool, add. */
struct report_flops report_flops(const struct report_run *r)
{
    struct report_flops f = { 0, 0, 0 };
    for (int i = 0; i < r->layers; i++) {
        const struct rn_layer *l = &r->layer[i];
        int64_t outputs = (int64_t)l->C * l->H * l->W;
        f.parameters += l->parameters;
        f.macs += l->macs;
        if (!strcmp(l->kind, "batch_norm2d")) f.thop += 4 * outputs;
        if (!strcmp(l->kind, "adaptive_avg_pool2d") && i > 0)
            f.thop += outputs * ((int64_t)l[-1].H * l[-1].W / ((int64_t)l->H * l->W) + 1);
    }
    f.thop += f.macs;
    return f;
}

/* 1234567 as "1,234,567". */
const char *report_grouped(char out[40], int64_t n)
{
    char plain[24];
    int length = snprintf(plain, sizeof plain, "%" PRId64, n), at = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0 && plain[i - 1] != '-') out[at++] = ',';
        out[at++] = plain[i];
    }
    out[at] = '\0';
    return out;
}

static const char *conf(const struct report_run *r, const char *name)
{
    const char *text = opt_text(&r->conf, name);
    return text ? text : "N/A";
}

static bool conf_is(const struct report_run *r, const char *name, const char *value)
{
    return !strcmp(conf(r, name), value);
}

/* -- 1 ----------------------------------------------------------------------------------------- */

/* What trained, "resnet.c 0.1.0, compiled by gcc 12.2.0". */
static void build_fields(struct report_page *p, const struct report_run *r)
{
    static const char name[] = "resnet.c ";
    const bool ours = !strncmp(r->build, name, sizeof name - 1);
    const char *version = ours ? r->build + sizeof name - 1 : "";
    if (ours) report_fields(p, "resnet.c Version", "%.*s", (int)strcspn(version, ","), version);
    else report_field(p, "resnet.c Version", "N/A (the run's files do not say)", NULL);
    if (*r->build) report_field(p, "Compiler", r->build, NULL);
    else report_field(p, "Compiler", "N/A (the checkpoint says it, and was not read)", NULL);
}

/* The text of summary.json, fit to be printed. */
static const char *trained(char out[RN_CPU_NAME], const struct report_run *r, const char *key)
{
    const char *text = report_string(r->summary.root, key);
    return text && *text ? rn_printable(out, RN_CPU_NAME, text, strlen(text)) : "N/A";
}

/* Where the training ran: summary.json says it, or else args.conf. */
static void device_fields(struct report_page *p, const struct report_run *r)
{
    const char *isa = report_string(r->summary.root, "isa"), *backend = report_string(r->summary.root, "backend");
    char text[RN_CPU_NAME];
    const char *cpu = trained(text, r, "cpu");
    if (!backend) backend = conf(r, "backend");
    if (!strcmp(backend, "cuda")) {
        report_fields(p, "CUDA Version", "N/A (the run's files do not say)");
        report_fields(p, "Device", "GPU by the backend cuda, %s; numerics %s; host %s, %s threads", isa ? isa : "N/A",
                      conf(r, "numerics"), cpu, conf(r, "threads"));
        return;
    }
    report_fields(p, "CUDA Version", "N/A (no GPU is used)");
    report_fields(p, "Device", "CPU, %s; instruction set %s, numerics %s, %s threads", cpu,
                  isa ? isa : "N/A", conf(r, "numerics"), conf(r, "threads"));
}

static void metadata(struct report_page *p, const struct report_run *r)
{
    char host[RN_CPU_NAME];
    const char *hash = report_string(r->summary.root, "weights_hash");
    report_section(p, 1, report_titles[0]);
    report_field(p, "Experiment Name", r->name, NULL);
    report_field(p, "Timestamp", r->when, NULL);
    build_fields(p, r);
    device_fields(p, r);
    report_fields(p, "Report Made By", "resnet.c %s, on CPU %s", RN_VERSION, rn_cpu_name(host));
    report_field(p, "Random Seed", conf(r, "seed"), NULL);
    report_fields(p, "Reproducibility Notes", "the same settings give the same bits for any number of threads, "
                  "instruction set, compiler and machine; ./train --verify-run %s replays the first steps", r->folder);
    report_field(p, "Weights Hash (last)", hash ? hash : "N/A (the run has no summary.json)", NULL);
    report_field(p, "Weights Hash (best)", *r->best_hash ? r->best_hash : "N/A (hashes.txt has none)", NULL);
}

/* -- 2 ----------------------------------------------------------------------------------------- */

static void layers(struct report_page *p, const struct report_run *r)
{
    static const struct report_head head[] = { { "Layer", 24, true }, { "Kind", 20, true }, { "Output", 14, false },
                                               { "Parameters", 12, false }, { "MACs", 14, false } };
    char number[40];
    p->into = REPORT_PAGE;
    report_fold(p, "Layer by layer");
    report_table(p, head, RN_COUNT(head));
    for (int i = 0; i < r->layers; i++) {
        const struct rn_layer *l = &r->layer[i];
        char shape[60];
        snprintf(shape, sizeof shape, "%d x %d x %d", l->C, l->H, l->W);
        report_cell(p, l->name);
        report_cell(p, l->kind);
        report_cell(p, shape);
        report_cell(p, report_grouped(number, l->parameters));
        report_cell(p, report_grouped(number, l->macs));
    }
    report_unfold(p);
    p->into = REPORT_ALL;
}

static const char *arch_name(char out[64], const char *arch)
{
    if (!strncmp(arch, "resnet", 6)) snprintf(out, 64, "ResNet-%.40s", arch + 6);
    else snprintf(out, 64, "%.60s", arch);
    return out;
}

static void flops_fields(struct report_page *p, const struct report_flops *f)
{
    char text[RN_NUMBER_CHARS], number[40];
    report_fields(p, "FLOPs per Forward Pass", "%sG", rn_fixed_text(text, 1e-9 * (double)f->thop, 3));
    report_fields(p, "FLOPs Convention", "%s as thop (pytorch-OpCounter) counts: a multiply-accumulate 1, an output of "
                  "batch norm 4, one of the average pool its kernel and 1", report_grouped(number, f->thop));
    report_fields(p, "MACs", "%s (convolutions and the linear layer, padding included, one image)",
                  report_grouped(number, f->macs));
    report_fields(p, "FLOPs (2 per MAC)", "%s (the convention of ./bench)", report_grouped(number, 2 * f->macs));
}

/* The 16 bits that a numerics keeps tensors in, or NULL: then they are floats. */
static const char *narrow_type(const char *numerics)
{
    if (!strcmp(numerics, "fast-fp16")) return "float16";
    return !strcmp(numerics, "bf16") || !strcmp(numerics, "fast-bf16") ? "bfloat16" : NULL;
}

static void architecture(struct report_page *p, const struct report_run *r)
{
    const struct report_flops f = report_flops(r);
    char number[40], text[RN_NUMBER_CHARS], name[64];
    const char *numerics = conf(r, "numerics"), *narrow = narrow_type(numerics);
    report_section(p, 2, report_titles[1]);
    report_fields(p, "Architecture", "%s, %s stem", arch_name(name, conf(r, "arch")), conf(r, "stem"));
    if (narrow)
        report_fields(p, "Precision", "%s with FP32 accumulation and FP32 master weights",
                      strcmp(narrow, "float16") ? "BF16" : "FP16");
    else
        report_fields(p, "Precision", "%s", !strcmp(numerics, "fp32") ? "FP32" : numerics);
    if (!r->layer) {
        report_fields(p, "Total Parameters", "N/A (%s)", r->why_net);
    } else {
        report_field(p, "Total Parameters", report_grouped(number, f.parameters), NULL);
        report_field(p, "Trainable Parameters", report_grouped(number, r->trainable), NULL);
        report_fields(p, "Model Size", "%s MB (parameters in float32; MB = 2^20 bytes)",
                      rn_fixed_text(text, (double)f.parameters * 4 / RN_MB, 2));
        flops_fields(p, &f);
    }
    report_fields(p, "Input Resolution", "(%s, %s)%s%s%s", conf(r, "image-size"), conf(r, "image-size"),
                  opt_text(&r->conf, "upsample") ? ", resized inside the net to " : "",
                  opt_text(&r->conf, "upsample") ? conf(r, "upsample") : "", "");
    report_field(p, "Number of Classes", conf(r, "num-classes"), NULL);
    report_fields(p, "Data Type", "%s%sfloat32", narrow ? narrow : "", narrow ? " and " : "");
    if (r->layer) layers(p, r);
}

/* -- 3 ----------------------------------------------------------------------------------------- */

static const char *scheduler(const char *name)
{
    static const char *const known[][2] = { { "plateau", "ReduceLROnPlateau" }, { "cosine", "CosineAnnealingLR" },
                                            { "step", "StepLR" }, { "onecycle", "OneCycleLR" },
                                            { "constant", "constant" } };
    for (size_t i = 0; i < RN_COUNT(known); i++)
        if (!strcmp(name, known[i][0])) return known[i][1];
    return name;
}

/* The names that torchvision has for the items of --augment, one after the other. */
static const char *augmentations(char out[400], const char *list)
{
    static const char *const known[][2] = {
        { "crop", "RandomCrop" }, { "rrc", "RandomResizedCrop" }, { "flip", "RandomHorizontalFlip" },
        { "altflip", "alternating horizontal flip" }, { "vflip", "RandomVerticalFlip" },
        { "jitter", "ColorJitter" }, { "rotate", "RandomRotation" },
        { "affine", "RandomAffine" }, { "erase", "RandomErasing" }, { "none", "none" },
    };
    size_t at = 0;
    out[0] = '\0';
    for (size_t length; *list && at < 400; list += length + (list[length] == ',')) {
        size_t name = strcspn(list, ",:"), i = 0;
        length = strcspn(list, ",");
        while (i < RN_COUNT(known) && (strlen(known[i][0]) != name || strncmp(list, known[i][0], name))) i++;
        const char *shown = i < RN_COUNT(known) ? known[i][1] : list;
        int width = i < RN_COUNT(known) ? (int)strlen(shown) : (int)RN_MIN(length, 60);
        at += (size_t)snprintf(out + at, 400 - at, "%s%.*s", at ? ", " : "", width, shown);
    }
    return out;
}

static void all_settings(struct report_page *p, const struct report_run *r)
{
    static const struct report_head head[] = { { "Setting", 24, true }, { "Value", 40, true } };
    p->into = REPORT_PAGE;
    report_fold(p, "All settings (args.conf)");
    report_table(p, head, RN_COUNT(head));
    for (size_t i = 0; i < r->conf.rows; i++) {
        if (!r->conf.value[i]) continue;
        report_cell(p, r->conf.row[i]->name);
        report_cell(p, r->conf.value[i]);
    }
    report_unfold(p);
    p->into = REPORT_ALL;
}

/* How many images an epoch and its validation had. */
static void images_field(struct report_page *p, const struct report_run *r)
{
    char train[REPORT_DIGITS], val[REPORT_DIGITS];
    double x, y;
    report_number(train, &x, &r->summary, r->summary.root, "train_images");
    report_number(val, &y, &r->summary, r->summary.root, "val_images");
    if (isfinite(x) && isfinite(y)) report_fields(p, "Images", "%s for training, %s for validation", train, val);
}

static void configuration(struct report_page *p, const struct report_run *r)
{
    char list[400];
    report_section(p, 3, report_titles[2]);
    report_fields(p, "Epochs Trained", "%d (of %s)", r->epochs, conf(r, "epochs"));
    report_field(p, "Batch Size", conf(r, "batch-size"), NULL);
    report_field(p, "Optimizer", conf_is(r, "opt", "adamw") ? "AdamW" : conf_is(r, "opt", "sgd") ? "SGD"
                                                                                            : conf(r, "opt"), NULL);
    if (conf_is(r, "opt", "sgd"))
        report_fields(p, "Momentum", "%s%s", conf(r, "momentum"), conf_is(r, "nesterov", "true") ? " (Nesterov)" : "");
    report_fields(p, "Learning Rate", "backbone=%s, head=%s", conf(r, "lr"),
                  opt_text(&r->conf, "head-lr") ? conf(r, "head-lr") : conf(r, "lr"));
    report_field(p, "Weight Decay", conf(r, "weight-decay"), NULL);
    report_field(p, "Scheduler", scheduler(conf(r, "lr-scheduler")), NULL);
    report_field(p, "Early Stopping Patience", conf_is(r, "early-stop-patience", "0") ? "none (0)"
                 : conf(r, "early-stop-patience"), NULL);
    if (opt_real(&r->conf, "label-smoothing") > 0)
        report_fields(p, "Loss Function", "CrossEntropyLoss with Label Smoothing (%s)", conf(r, "label-smoothing"));
    else
        report_field(p, "Loss Function", "CrossEntropyLoss", NULL);
    report_field(p, "Data Augmentation", augmentations(list, conf(r, "augment")), conf(r, "augment"));
    if (narrow_type(conf(r, "numerics"))) report_fields(p, "Mixed Precision", "True (%s)", conf(r, "amp"));
    else report_field(p, "Mixed Precision", "False", NULL);
    report_field(p, "Initial Weights", opt_text(&r->conf, "weights") ? conf(r, "weights") : "random, of the seed",
                 NULL);
    report_field(p, "Data", conf(r, "data"), NULL);
    images_field(p, r);
    all_settings(p, r);
}

/* -- 4 ----------------------------------------------------------------------------------------- */

/* A figure with so many decimals, its digits beside it; " %" behind it in the page, "%" in the text. */
static void figure(struct report_page *p, const char *name, double x, const char *digits, int decimals, bool percent)
{
    char text[RN_NUMBER_CHARS];
    if (!isfinite(x)) {
        report_fields(p, name, "N/A%s%s", digits && strcmp(digits, "N/A") ? " " : "",
                      digits && strcmp(digits, "N/A") ? digits : "");
        return;
    }
    p->into = REPORT_PAGE;
    char shown[RN_NUMBER_CHARS + 4];
    snprintf(shown, sizeof shown, "%s%s", rn_fixed_text(text, x, percent ? 2 : decimals), percent ? " %" : "");
    report_field(p, name, shown, digits);
    p->into = REPORT_TXT;
    snprintf(shown, sizeof shown, "%s%s", rn_fixed_text(text, x, decimals), percent ? "%" : "");
    report_field(p, name, shown, NULL);
    p->into = REPORT_ALL;
}

/* A number of summary.json. */
static void summary_figure(struct report_page *p, const struct report_run *r, const char *name, const char *key,
                           int decimals)
{
    char digits[REPORT_DIGITS], text[RN_NUMBER_CHARS];
    double x;
    report_number(digits, &x, &r->summary, r->summary.root, key);
    if (isfinite(x)) report_field(p, name, rn_fixed_text(text, x, decimals), digits);
    else report_fields(p, name, "N/A (%s)", r->summary.root ? "summary.json does not say" : r->summary.why);
}

static void epoch_figure(struct report_page *p, const char *name, const struct report_run *r, int row,
                         enum report_column column, bool percent)
{
    if (row < 0 || row >= r->epochs) report_field(p, name, "N/A (no epoch has ended)", NULL);
    else figure(p, name, r->epoch[row].x[column], r->epoch[row].digits[column], percent ? 4 : 6, percent);
}

/* Whether patience ran out: the rule of the trainer, from the table. */
bool report_stopped_early(const struct report_run *r)
{
    int64_t patience = opt_int(&r->conf, "early-stop-patience"), floor = opt_int(&r->conf, "early-stop-floor");
    if (!patience || r->best < 0) return false;
    double last = r->epoch[r->epochs - 1].x[REPORT_EPOCH];
    return last >= (double)floor && last - r->epoch[r->best].x[REPORT_EPOCH] >= (double)patience;
}

/* x and y of as many epochs as there are. */
void report_run_curve(struct report_curve *c, const struct report_run *r, enum report_column column, double *x,
                      double *y)
{
    for (int i = 0; i < r->epochs; i++) {
        x[i] = r->epoch[i].x[REPORT_EPOCH];
        y[i] = r->epoch[i].x[column];
    }
    c->x = x;
    c->y = y;
    c->count = r->epochs;
}

static void draw_epochs(struct report_page *p, const struct report_run *r, const char *y_title,
                        enum report_column first, enum report_column second, const char *caption, double *space)
{
    struct report_chart c = { .x_title = "epoch", .y_title = y_title, .whole = true, .mark = NAN };
    struct rn_text svg = { 0 };
    if (r->best >= 0) c.mark = r->epoch[r->best].x[REPORT_EPOCH];
    report_run_curve(&c.curve[0], r, first, space, space + r->epochs);
    report_run_curve(&c.curve[1], r, second, space + 2 * r->epochs, space + 3 * r->epochs);
    c.curves = second == first ? 1 : 2;
    c.from_zero = first == REPORT_LR;
    report_chart(&svg, &c);
    if (!rn_text_status(&svg)) report_figure(p, false, svg.data, caption);
    rn_text_free(&svg);
}

#define BLUE "<svg class=\"s\" viewBox=\"0 0 18 8\"><path class=\"k c0\" d=\"M0 4H18\"/></svg>"
#define ORANGE "<svg class=\"s\" viewBox=\"0 0 18 8\"><path class=\"k c1\" d=\"M0 4H18\"/></svg>"

static void curves(struct report_page *p, const struct report_run *r)
{
    double *space = rn_alloc_array((size_t)r->epochs + 1, 4 * sizeof *space);
    if (!space || !r->epochs) {
        rn_free(space);
        return;
    }
    draw_epochs(p, r, "loss", REPORT_TRAIN_LOSS, REPORT_VAL_LOSS,
                "<b>Loss</b> " BLUE " training " ORANGE " validation; dashed: best epoch", space);
    draw_epochs(p, r, "accuracy (%)", REPORT_TRAIN_ACC, REPORT_VAL_ACC,
                "<b>Accuracy</b> " BLUE " training " ORANGE " validation; dashed: best epoch", space);
    draw_epochs(p, r, "learning rate", REPORT_LR, REPORT_LR, "<b>Learning rate</b> of the backbone at the end of each "
                "epoch", space);
    draw_epochs(p, r, "images/s", REPORT_RATE, REPORT_RATE, "<b>Training speed</b>, loading included", space);
    rn_free(space);
}

static void results(struct report_page *p, const struct report_run *r)
{
    char digits[REPORT_DIGITS];
    double x;
    int last = r->epochs - 1;
    report_section(p, 4, report_titles[3]);
    report_fields(p, "Epochs Trained", "%d", r->epochs);
    report_number(digits, &x, &r->summary, r->summary.root, "best_acc");
    if (isfinite(x)) figure(p, "Best Validation Accuracy", x, digits, 4, true);
    else epoch_figure(p, "Best Validation Accuracy", r, r->best, REPORT_VAL_ACC, true);
    epoch_figure(p, "Final Training Accuracy", r, last, REPORT_TRAIN_ACC, true);
    epoch_figure(p, "Final Validation Accuracy", r, last, REPORT_VAL_ACC, true);
    epoch_figure(p, "Final Training Loss", r, last, REPORT_TRAIN_LOSS, false);
    epoch_figure(p, "Final Validation Loss", r, last, REPORT_VAL_LOSS, false);
    if (r->best >= 0) report_fields(p, "Convergence Epoch", "%s", r->epoch[r->best].digits[REPORT_EPOCH]);
    else report_field(p, "Convergence Epoch", "N/A (no epoch has ended)", NULL);
    report_field(p, "Early Stopping Triggered", report_stopped_early(r) ? "True" : "False", NULL);
    p->into = REPORT_PAGE;
    summary_figure(p, r, "Steps", "steps", 0);
    summary_figure(p, r, "Training Time (s)", "seconds", 1);
    summary_figure(p, r, "Of It Waiting for Images (s)", "waited_seconds", 2);
    summary_figure(p, r, "Training Speed (images/s)", "images_per_second", 1);
    summary_figure(p, r, "Peak Memory of Training (MB)", "peak_rss_mb", 1);
    summary_figure(p, r, "Skipped Images", "skipped_images", 0);
    report_note(p, "The convergence epoch is the first with the best validation accuracy: its weights are the stored "
                "best, and the ones evaluated below. The training loss is the one that is minimised%s; the validation "
                "loss is cross-entropy without smoothing.",
                opt_real(&r->conf, "label-smoothing") > 0 ? ", with label smoothing" : "");
    curves(p, r);
    p->into = REPORT_ALL;
}

/* -- all of it ----------------------------------------------------------------------------------- */

void report_cards(struct report_page *p, const struct report_run *r)
{
    const struct report_flops f = report_flops(r);
    char digits[REPORT_DIGITS], text[REPORT_DIGITS + 4], number[RN_NUMBER_CHARS];
    double x;
    report_box(p, "cards");
    report_number(digits, &x, &r->evaluation, r->evaluation.root, "top1");
    snprintf(text, sizeof text, "%s %%", isfinite(x) ? rn_fixed_text(number, x, 2) : "N/A");
    report_card(p, "test accuracy", isfinite(x) ? text : "N/A");
    report_number(digits, &x, &r->summary, r->summary.root, "best_acc");
    snprintf(text, sizeof text, "%s %%", isfinite(x) ? rn_fixed_text(number, x, 2) : "N/A");
    report_card(p, "best validation accuracy", isfinite(x) ? text : "N/A");
    report_card(p, "parameters", r->layer ? report_grouped(text, f.parameters) : "N/A");
    snprintf(text, sizeof text, "%sG", rn_fixed_text(number, 1e-9 * (double)f.thop, 3));
    report_card(p, "FLOPs (thop's)", r->layer ? text : "N/A");
    report_number(digits, &x, &r->bench, report_result(r, 0), "mean_ms");
    snprintf(text, sizeof text, "%s ms", isfinite(x) ? rn_fixed_text(number, x, 2) : "N/A");
    report_card(p, "mean latency", isfinite(x) ? text : "N/A");
    report_number(digits, &x, &r->bench, report_result(r, 0), "peak_rss_mb");
    snprintf(text, sizeof text, "%s MB", digits);
    report_card(p, "peak memory of inference", isfinite(x) ? text : "N/A");
    report_box(p, NULL);
}

void report_sections(struct report_page *p, const struct report_run *r)
{
    metadata(p, r);
    architecture(p, r);
    configuration(p, r);
    results(p, r);
    report_inference(p, r);
    report_stability(p, r);
    report_baseline(p, r);
}
