/* patterns.c - the built-in patterns, and the matcher. */
#include "analyze/patterns.h"

#include "base/mem.h"

#define IS(kind) (1u << RN_OP_##kind)

static const struct rn_pattern fused[] = {
    { "conv_bn_add_relu", { IS(CONV), IS(BN), IS(ADD), IS(RELU) }, 4, 0 },
    { "conv_bn_relu", { IS(CONV), IS(BN), IS(RELU) }, 3, 0 },
    { "conv_bn", { IS(CONV), IS(BN) }, 2, 0 },
};

static const struct rn_pattern fused_when_folded[] = {
    { "conv_add_relu", { IS(CONV), IS(ADD), IS(RELU) }, 3, 0 },
    { "conv_add", { IS(CONV), IS(ADD) }, 2, 0 },
    { "conv_relu", { IS(CONV), IS(RELU) }, 2, 0 },
    { "conv", { IS(CONV) }, 1, 0 },
};

static const struct rn_pattern candidates[] = {
    { "stem_pool", { IS(CONV), IS(BN), IS(RELU), IS(MAXPOOL) }, 4, 0 },
    { "head", { IS(AVGPOOL), IS(FLATTEN), IS(LINEAR) }, 3, 0 },
};

const struct rn_pattern *rn_patterns_fused(bool folded, int *count)
{
    *count = folded ? (int)RN_COUNT(fused_when_folded) : (int)RN_COUNT(fused);
    return folded ? fused_when_folded : fused;
}

const struct rn_pattern *rn_patterns_candidates(int *count)
{
    *count = (int)RN_COUNT(candidates);
    return candidates;
}

void rn_patterns_free(struct rn_patterns *p)
{
    rn_free(p->row);
    *p = (struct rn_patterns){ .rows = 0 };
}

/* -- matching ------------------------------------------------------------------------------------ */

/* The one operation that reads `op`; -1: none or several. */
static int only_reader(const struct rn_trace *t, int op)
{
    if (t->op[op].readers != 1) return -1;
    for (int i = op + 1; i < t->ops; i++)
        if (t->op[i].src[0] == op || t->op[i].src[1] == op) return i;
    return -1;
}

static bool fits(struct rn_match *m, const struct rn_trace *t, const struct rn_pattern *p, int first, const bool *taken)
{
    *m = (struct rn_match){ .length = 0 };
    for (int op = first; op >= 0 && !taken[op]; op = only_reader(t, op)) {
        if (!(p->kinds[m->length] >> t->op[op].kind & 1)) return false;
        m->op[m->length++] = op;
        if (m->length == p->length) return true;
    }
    return false;
}

/* Whether one of the matches has `next` right after `op`. */
static bool joined(const struct rn_matches *m, int op, int next)
{
    for (int i = 0; m && i < m->rows; i++)
        for (int k = 0; k + 1 < m->row[i].length; k++)
            if (m->row[i].op[k] == op && m->row[i].op[k + 1] == next) return true;
    return false;
}

/* A flatten moves nothing: it is another name of the tensor before it. */
static int64_t saved_bytes(const struct rn_trace *t, const struct rn_match *m, const struct rn_matches *beyond)
{
    int64_t bytes = 0;
    for (int i = 0; i + 1 < m->length; i++)
        if (t->op[m->op[i + 1]].kind != RN_OP_FLATTEN && !joined(beyond, m->op[i], m->op[i + 1]))
            bytes += 2 * 4 * rn_op_elements(&t->op[m->op[i]]);
    return bytes;
}

static void match_at(struct rn_matches *m, const struct rn_trace *t, const struct rn_pattern *pattern, int patterns,
                     const struct rn_matches *beyond, int op, bool *taken)
{
    struct rn_match *found = &m->row[m->rows];
    for (int k = 0; k < patterns; k++) {
        if (!fits(found, t, &pattern[k], op, taken)) continue;
        found->pattern = k;
        found->saved = saved_bytes(t, found, beyond);
        for (int i = 0; i < found->length; i++) taken[found->op[i]] = true;
        m->rows++;
        return;
    }
}

rn_status rn_match(struct rn_matches *m, const struct rn_trace *t, const struct rn_pattern *pattern, int patterns,
                   const struct rn_matches *beyond)
{
    bool *taken = rn_alloc_array((size_t)t->ops, sizeof *taken);
    *m = (struct rn_matches){ .row = rn_alloc_array((size_t)t->ops + 1, sizeof *m->row) };
    rn_status status = taken && m->row ? RN_OK : RN_ENOMEM;
    for (int i = 0; !status && i < t->ops; i++) match_at(m, t, pattern, patterns, beyond, i, taken);
    rn_free(taken);
    if (status) rn_matches_free(m);
    return status;
}

void rn_matches_free(struct rn_matches *m)
{
    rn_free(m->row);
    *m = (struct rn_matches){ .rows = 0 };
}

int rn_matches_of(const struct rn_matches *m, int pattern, int64_t *saved)
{
    int count = 0;
    int64_t bytes = 0;
    for (int i = 0; i < m->rows; i++) {
        if (m->row[i].pattern != pattern) continue;
        count++;
        bytes += m->row[i].saved;
    }
    if (saved) *saved = bytes;
    return count;
}
