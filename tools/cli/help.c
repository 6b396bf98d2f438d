/* help.c - --help, --version, and how every program ends. */
#include "tools/plot/plot.h"
#include "tools/cli/private.h"

#include "data/image.h"
#include "include/resnet.h"

#include <stdio.h>
#include <string.h>

#ifndef RN_BUILD_FLAGS
#define RN_BUILD_FLAGS "not recorded (built without make)"
#endif

#define COLUMN 30 /* where the explanations begin */

static const struct { const char *program, *line; } example[] = {
    { "train", "./train                                       the built-in data, to a good result" },
    { "train", "./train --data cifar10:DIR --stem cifar --epochs 30 --lr-scheduler onecycle" },
    { "train", "./train --resume runs/demo/checkpoints/demo_last.pth --more-epochs 5" },
    { "train", "./train --arch resnet50 --dry-run --json      sizes of a net, training nothing" },
    { "evaluate", "./evaluate --checkpoint runs/demo/checkpoints/demo_best.pth --data demo" },
    { "evaluate", "./evaluate --checkpoint resnet18.pth --stem cifar --data cifar10:DIR --json" },
    { "evaluate", "./evaluate --checkpoint resnet18.pth --data cifar10:DIR --tta flip --confusion matrix.png" },
    { "evaluate", "./evaluate --checkpoint resnet18.pth --size      parameters, bytes, layers" },
    { "evaluate", "./evaluate --checkpoint net.pth --data folder:DIR --split test --target-sensitivity 0.98" },
    { "evaluate", "./evaluate --checkpoint net.pth --predict cat.jpg dog.png" },
    { "bench", "./bench --data-free                             latency: batch 1, 10 calls to warm up, 100 timed" },
    { "bench", "./bench --mode infer --batch-sizes 1,8,32 --data-free --csv speed.csv" },
    { "bench", "./bench --mode train --stem cifar --image-size 32 --num-classes 10 --batch-sizes 128" },
    { "train", "./train --preset exp1 --profile                tables and a trace of the first 20 steps" },
    { "profile", "./profile --steps 5                            tables, and a trace for ui.perfetto.dev" },
    { "profile", "./profile --data cifar10:DIR --stem cifar --batch-size 128 --group-by-shape --name cifar" },
    { "profile", "./profile --mode infer --arch resnet50 --memory" },
    { "report", "./report runs/demo                             report.html, .md and .txt in the folder" },
    { "report", "./report runs/demo --no-measure                only what the folder holds" },
    { "report", "./report runs/first runs/second --output both  two runs side by side" },
    { "convert", "./convert resnet18.pth resnet18.safetensors" },
    { "convert", "./convert --list resnet18.pth" },
    { "convert", "./convert --images cifar10:DIR photos --classes cat,dog --limit 1000 --size 96" },
    { "characterize", "./characterize                                counts, memory, fusions, a projection" },
    { "characterize", "./characterize --arch resnet50 --graph        every operation with its shape" },
    { "characterize", "./characterize --convention fvcore            why another tool's number differs" },
    { "characterize", "./characterize --hardware nvidia-h100-sxm --precision bf16 --report runs/resnet18" },
    { "conform", "./conform --grad                              every gradient against differences" },
    { "conform", "./conform --write-golden pack && ./conform --check-golden pack --backend ./mine.so" },
};

/* The flag and what it takes: "--lr X", "--opt sgd|adamw". */
static int print_flag(const struct opt *row)
{
    int width = printf("  --%s", row->name);
    if (row->type == OPT_SWITCH) return width;
    const char *takes = row->choices ? row->choices : row->value_name ? row->value_name : "VALUE";
    return width + printf(" %s", takes);
}

/* Prints `text` from COLUMN on, in lines of at most 100 characters; the cursor stands at `at`. */
static void print_wrapped(const char *text, int at)
{
    while (*text) {
        size_t word = strcspn(text, " ");
        if (at < COLUMN) at += printf("%*s", COLUMN - at, "");
        else if (at > COLUMN && at + 1 + (int)word > 100) at = printf("\n%*s", COLUMN, "") - 1;
        else if (at > COLUMN) at += printf(" ");
        at += printf("%.*s", (int)word, text);
        text += word;
        text += strspn(text, " ");
    }
}

static void print_row(const struct opt *row)
{
    char text[512];
    int width = print_flag(row);
    snprintf(text, sizeof text, "%s%s%s%s", row->help, row->fallback ? " (default " : "",
             row->fallback ? row->fallback : "", row->fallback ? ")" : "");
    if (width + 2 > COLUMN) {
        printf("\n");
        width = 0;
    }
    print_wrapped(text, width);
    printf("\n");
}

static const char *group_of(const struct opt *row)
{
    return row->group ? row->group : "General";
}

static bool first_of_group(const struct opt_set *o, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (!strcmp(group_of(o->row[k]), group_of(o->row[i]))) return false;
    return true;
}

void opt_print_help(const struct opt_set *o)
{
    printf("%s - %s\n\nusage: ./%s [flags]%s\n", o->program, o->summary, o->program,
           o->max_positionals ? " FILE ..." : "");
    for (size_t i = 0; i < o->rows; i++) {
        if (!first_of_group(o, i)) continue;
        printf("\n%s\n", group_of(o->row[i]));
        for (size_t k = i; k < o->rows; k++)
            if (!strcmp(group_of(o->row[k]), group_of(o->row[i]))) print_row(o->row[k]);
    }
    printf("\nA flag is `--flag VALUE` or `--flag=VALUE`; --no-FLAG turns a switch off; the last one counts.\n"
           "A flag outranks the --config file, that the --preset, that the environment, that the default.\n");
    bool any = false;
    for (size_t i = 0; i < RN_COUNT(example); i++) {
        if (strcmp(example[i].program, o->program)) continue;
        printf("%s  %s\n", any ? "" : "\nExamples\n", example[i].line);
        any = true;
    }
    printf("\nExit status: 0 done, 1 the run failed, 2 usage, 3 unusable input, 4 the machine failed,\n"
           "5 a check did not hold, 130 interrupted, 143 terminated.\n");
}

static bool opens(const char *isa, const char *numerics)
{
    const struct rn_device_options options = { .threads = 1, .isa = isa, .numerics = numerics };
    const struct rn_ops *ops;
    void *dev;
    if (rn_backend_find(&ops, "cpu", numerics) || ops->open(&dev, &options)) return false;
    ops->close(dev);
    return true;
}

/* The names of a shared row, "isa" or "numerics", with which the backend cpu opens. */
static void print_abilities(const struct opt_set *o, const char *option)
{
    const struct opt *row = o->row[opt_row(o, option, strlen(option))];
    const bool isa = !strcmp(option, "isa");
    char names[128];
    snprintf(names, sizeof names, "%s", row->choices ? row->choices : row->value_name);
    for (char *name = names, *next; name; name = next) {
        next = strchr(name, '|');
        if (next) *next++ = '\0';
        if (opens(isa ? name : NULL, isa ? NULL : name)) printf(" %s", name);
    }
    rn_error_clear();
}

void opt_print_version(const struct opt_set *o)
{
    printf("%s (resnet.c) %s\n", o->program, RN_VERSION);
#if defined(__clang__)
    printf("compiler          clang %s\n", __clang_version__);
#elif defined(__GNUC__)
    printf("compiler          gcc %s\n", __VERSION__);
#else
    printf("compiler          unknown\n");
#endif
    printf("flags             %s\n", RN_BUILD_FLAGS);
    printf("instruction sets ");
    print_abilities(o, "isa");
    const char *absence = rn_amx_absence(), *libraries;
    const bool fast = rn_cuda_fast(&libraries);
    printf("\nAMX               %s%s", absence ? "not used: " : "used for bf16", absence ? absence : "");
    printf("\nnumerics         ");
    print_abilities(o, "numerics");
    printf("\nbackends          ref cpu%s\n"
           "pictures          %s\n"
           "cairo             %s\n"
           "MPI               not built in\n"
           "CUDA              %s%s%s\n",
           *rn_cuda_build() ? " cuda" : "", rn_image_libraries(), tool_plot_available() ? "found" : "not found",
           *rn_cuda_build() ? rn_cuda_build() : "not built in", fast ? "; " : *rn_cuda_build() ? "; no cuDNN" : "",
           libraries);
}

/* Output that did not reach its place is a failure too: a full disk shows here first. */
int tool_exit(const char *program, rn_status status)
{
    bool lost = fflush(stdout) != 0 || ferror(stdout);
    if (!status && lost) status = rn_fail(RN_EIO, "standard output: cannot be written");
    if (!status && rn_fail_cause()) status = rn_fail(RN_EFAIL, "the results cannot be trusted");
    if (status) fprintf(stderr, "%s: %s\n", program, *rn_error() ? rn_error() : rn_status_text(status));
    return rn_exit_code(status);
}
