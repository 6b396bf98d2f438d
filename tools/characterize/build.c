/* build.c - settings of ./characterize, and everything that is worked out from them. */
#define _POSIX_C_SOURCE 200809L

#include "tools/characterize/characterize.h"

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct opt characterize_rows[] = {
    { "hardware", OPT_TEXT, "cpu", 0, 0, NULL, "NAME",
      "the machine of the projection: a file tools/hw/NAME.conf, or the path of one", "Projection" },
    { "model", OPT_CHOICE, "ours", 0, 0, "ours|seed", NULL,
      "how latency and energy are projected: a roofline for every fused operation, or as the seed's report does",
      "Projection" },
    { "precision", OPT_CHOICE, "fp32", 0, 0, "fp32|fp16|bf16|int8", NULL, "of the projection", "Projection" },
    { "batch-size", OPT_INT, "1", 1, 65536, NULL, "N", "images of the projection and of the memory", "Projection" },
    { "tiles", OPT_CHOICE, "ours", 0, 0, "ours|seed", NULL,
      "how operations are cut that a memory of the machine cannot hold: by what their tiles take, or as the seed's "
      "report counts", "Projection" },
    { "measure", OPT_TEXT, NULL, 0, 0, NULL, "FILE",
      "write a hardware file for this machine, from loops that run no net; and nothing else", "Projection" },
    { "validate", OPT_SWITCH, NULL, 0, 0, NULL, NULL,
      "run the net here, and set the projection against it, layer by layer", "Projection" },
    { "time-variants", OPT_SWITCH, NULL, 0, 0, NULL, NULL,
      "with --report: run every architecture of its table of variants here, half a minute in all", "Projection" },
    { "roadmap", OPT_SWITCH, NULL, 0, 0, NULL, NULL,
      "what not enlarging the images, depthwise convolutions, bf16 and int8 would bring, one after the other",
      "Projection" },
    { "convention", OPT_TEXT, NULL, 0, 0, NULL, "NAME",
      "how another counter arrives at its number, line by line: seed, fvcore, ptflops, thop or torchinfo", "Counts" },
    { "patterns", OPT_TEXT, NULL, 0, 0, NULL, "FILE", "more fusion patterns to look for: `name = conv2d relu` a line",
      "Counts" },
    { "graph", OPT_SWITCH, NULL, 0, 0, NULL, NULL, "list every operation with its shape, as torch.fx does",
      "Output" },
    { "dot", OPT_TEXT, NULL, 0, 0, NULL, "FILE", "the graph for Graphviz", "Output" },
    { "draw", OPT_TEXT, NULL, 0, 0, NULL, "FILE", "the graph drawn, as .png or .svg; needs cairo", "Output" },
    { "plot", OPT_TEXT, NULL, 0, 0, NULL, "FILE", "the roofline, as .png or .svg; needs cairo", "Output" },
    { "report", OPT_TEXT, NULL, 0, 0, NULL, "DIR",
      "report.md, report.html, report.json and pictures in that folder", "Output" },
    { "num-classes", OPT_INT, "1000", 2, 100000, NULL, "N", "outputs", "Net" },
    { "image-size", OPT_INT, "224", 32, 4096, NULL, "N", "height and width given to the net", "Net" },
    { "stem", OPT_CHOICE, "imagenet", 0, 0, "imagenet|cifar|cifar-pool|3x3s2|deep", NULL, "first layers", "Net" },
};
const size_t characterize_rows_count = RN_COUNT(characterize_rows);

/* -- hardware files ------------------------------------------------------------------------------- */

#define FOLDERS 3
#define PATH_LIMIT 4096

/* Beside the program, in the working folder's tree, and where `make install` puts them. */
static void folders(char folder[FOLDERS][PATH_LIMIT + 32])
{
    char program[PATH_LIMIT];
    ssize_t length = readlink("/proc/self/exe", program, PATH_LIMIT - 1);
    program[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (slash) *slash = '\0';
    else snprintf(program, sizeof program, ".");
    snprintf(folder[0], PATH_LIMIT + 32, "%s/tools/hw", program);
    snprintf(folder[1], PATH_LIMIT + 32, "tools/hw");
    snprintf(folder[2], PATH_LIMIT + 32, "%s/../share/resnet/hw", program);
}

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

static bool listed(char names[][CHARACTERIZE_NAME], size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i], name)) return true;
    return false;
}

size_t characterize_hardware_names(char names[][CHARACTERIZE_NAME], size_t max)
{
    char folder[FOLDERS][PATH_LIMIT + 32], name[CHARACTERIZE_NAME];
    size_t count = 0;
    folders(folder);
    for (int i = 0; i < FOLDERS; i++) {
        DIR *dir = opendir(folder[i]);
        for (struct dirent *entry; dir && count < max && (entry = readdir(dir));) {
            size_t length = strlen(entry->d_name);
            if (length <= 5 || length >= CHARACTERIZE_NAME || strcmp(entry->d_name + length - 5, ".conf")) continue;
            snprintf(name, sizeof name, "%.*s", (int)(length - 5), entry->d_name);
            if (!listed(names, count, name)) memcpy(names[count++], name, sizeof name);
        }
        if (dir) closedir(dir);
    }
    qsort(names, count, CHARACTERIZE_NAME, by_name);
    return count;
}

static rn_status unknown_hardware(const char *name)
{
    char names[64][CHARACTERIZE_NAME], list[1024] = "";
    const char *candidate[64];
    size_t count = characterize_hardware_names(names, RN_COUNT(names));
    for (size_t i = 0; i < count; i++) {
        candidate[i] = names[i];
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    const char *nearest = rn_nearest(name, candidate, count);
    return rn_fail(RN_EUSAGE, "--hardware: there is no %.60s%s%s%s; known are %s, or give the path of a file", name,
                   nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "",
                   count ? list : "none");
}

rn_status characterize_hardware(struct rn_hardware *h, const char *name)
{
    char folder[FOLDERS][PATH_LIMIT + 32], path[PATH_LIMIT + 128];
    const size_t length = strlen(name);
    if (strchr(name, '/') || (length > 5 && !strcmp(name + length - 5, ".conf"))) return rn_hardware_read(h, name);
    folders(folder);
    for (int i = 0; i < FOLDERS && length < CHARACTERIZE_NAME; i++) {
        int n = snprintf(path, sizeof path, "%s/%s.conf", folder[i], name);
        if (n < (int)sizeof path && rn_path_exists(path)) return rn_hardware_read(h, path);
    }
    return unknown_hardware(name);
}

/* -- all of it ------------------------------------------------------------------------------------ */

const struct characterize_assumed characterize_assumed[CHARACTERIZE_ASSUMED] = {
    { RN_HW_UTILISATION, 1 }, { RN_HW_LAUNCH, 0 },
};

rn_status characterize_project(struct rn_projection *p, const struct characterize *c, const struct rn_hardware *h,
                               enum rn_precision precision, int batch)
{
    if (!strcmp(opt_text(c->o, "model"), "seed")) return rn_project_seed(p, &c->trace, h, batch);
    return rn_project(p, &c->groups, h, precision, batch);
}

struct rn_tile_net characterize_tile_net(const struct characterize *c, const struct rn_hardware *h)
{
    return (struct rn_tile_net){ &c->trace, &c->groups, &c->seed, h, rn_precision_bytes(c->precision) };
}

double characterize_speedup(const struct characterize *c, const struct rn_projection *p)
{
    if (c->on_cpu.missing_seconds >= 0 || p->missing_seconds >= 0) return 0;
    return c->on_cpu.seconds / p->seconds;
}

static rn_status match_all(struct characterize *c)
{
    int fused, folded, candidates;
    const struct rn_pattern *p = rn_patterns_fused(false, &fused), *f = rn_patterns_fused(true, &folded);
    const struct rn_pattern *more = rn_patterns_candidates(&candidates);
    rn_status status = rn_match(&c->fused, &c->trace, p, fused, NULL);
    if (!status) status = rn_match(&c->folded_fused, &c->folded, f, folded, NULL);
    if (!status) status = rn_match(&c->candidates, &c->trace, more, candidates, &c->fused);
    if (!status && opt_given(c->o, "patterns")) {
        status = rn_patterns_read(&c->patterns, opt_text(c->o, "patterns"));
        if (!status) status = rn_match(&c->user, &c->trace, c->patterns.row, c->patterns.rows, NULL);
    }
    return status;
}

static rn_status project_all(struct characterize *c)
{
    rn_status status = characterize_hardware(&c->hardware, opt_text(c->o, "hardware"));
    if (!status) status = characterize_hardware(&c->cpu, "cpu");
    if (!status) status = characterize_project(&c->projection, c, &c->hardware, c->precision, c->batch);
    return status ? status : characterize_project(&c->on_cpu, c, &c->cpu, RN_FP32, c->batch);
}

static rn_status build_net(struct characterize *c)
{
    rn_status status = tool_net(&c->config, c->o);
    c->config.batch = c->config.eval_batch = 1;
    if (!status) status = rn_trace_build(&c->trace, &c->config);
    if (!status) status = rn_trace_build(&c->folded, &c->config);
    if (status) return status;
    rn_trace_fold(&c->folded);
    rn_count(&c->counts, &c->trace);
    status = tool_device_open(&c->device, c->o);
    if (!status)
        status = rn_memory_of(&c->memory, &c->trace, &c->config, c->batch, c->device.ops, c->device.dev);
    if (!status) status = rn_groups_build(&c->groups, &c->trace);
    return status ? status : rn_seed_build(&c->seed, &c->trace);
}

rn_status characterize_build(struct characterize *c, const struct opt_set *o)
{
    *c = (struct characterize){ .o = o, .batch = (int)opt_int(o, "batch-size") };
    for (int i = 0; i < RN_PRECISIONS; i++)
        if (!strcmp(rn_precision_name((enum rn_precision)i), opt_text(o, "precision")))
            c->precision = (enum rn_precision)i;
    c->tiles = strcmp(opt_text(o, "tiles"), "seed") ? RN_TILES_OURS : RN_TILES_SEED;
    rn_status status = build_net(c);
    if (!status) status = match_all(c);
    if (!status && opt_given(o, "convention"))
        status = rn_convention_of(&c->convention, opt_text(o, "convention"), &c->trace);
    return status ? status : project_all(c);
}

void characterize_free(struct characterize *c)
{
    tool_device_close(&c->device);
    rn_projection_free(&c->projection);
    rn_projection_free(&c->on_cpu);
    rn_matches_free(&c->fused);
    rn_matches_free(&c->folded_fused);
    rn_matches_free(&c->candidates);
    rn_matches_free(&c->user);
    rn_patterns_free(&c->patterns);
    rn_seed_free(&c->seed);
    rn_groups_free(&c->groups);
    rn_trace_free(&c->folded);
    rn_trace_free(&c->trace);
}
