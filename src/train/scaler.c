/*
 * scaler.c - loss scaling: gradients are those of the loss times a power of two, so that small ones do not vanish
 * in a narrow format, and are multiplied back before anything looks at them.  An overflow costs the step its
 * update, not the run its end.  Source: Micikevicius et al., "Mixed precision training", ICLR 2018, section 3.2;
 * the rule is torch.amp.GradScaler's.
 *
 * What is multiplied by the scale is the gradient of the logits: from there on every step backward is linear.
 */
#include "train/trainer.h"
#include "base/real.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* -- the rule ---------------------------------------------------------------------------------- */
bool rn_scale_valid(double x)
{
    return x >= RN_SCALE_LEAST && x <= RN_SCALE_MOST && !(rn_bits64(x) << 12);
}

rn_status rn_scale_parse(double *scale, const char *text)
{
    int64_t exponent;
    double x = 0;
    bool number = true;
    if (!strncmp(text, "2^", 2)) {
        number = rn_parse_int(&exponent, text + 2) && exponent >= -1022 && exponent <= 1023;
        if (number) x = rn_double((uint64_t)(exponent + 1023) << 52);
    } else {
        number = rn_parse_double(&x, text);
    }
    if (!number || !rn_scale_valid(x))
        return rn_fail(RN_EUSAGE, "%s: a power of two from 2^-126 to 2^127 is needed (65536 or 2^16)", text);
    *scale = x;
    return RN_OK;
}

void rn_scaler_update(struct rn_scaler *s, bool overflow, int64_t interval)
{
    if (overflow) {
        s->scale = RN_MAX(s->scale * 0.5, RN_SCALE_LEAST);
        s->tracker = 0;
        s->skipped++;
    } else if (++s->tracker >= interval) {
        s->scale = RN_MIN(s->scale * 2, RN_SCALE_MOST);
        s->tracker = 0;
    }
}

/* -- in a step --------------------------------------------------------------------------------- */
bool rn_may_skip(const struct rn_trainer *t)
{
    return t->c.scaling.kind == RN_SCALING_DYNAMIC && t->s.scaler.scale > RN_SCALE_LEAST;
}

void rn_scale_loss(struct rn_trainer *t, int images, const int32_t *given)
{
    size_t count = (size_t)images * (size_t)t->c.arch.classes;
    if (t->c.scaling.kind) rn_multiply(&t->times, rn_net_logit_gradients(t->net), count, t->s.scaler.scale, given);
}

void rn_unscale(struct rn_trainer *t, float *gradients, const int32_t *given)
{
    if (t->c.scaling.kind)
        rn_multiply(&t->times, gradients, rn_net_trainable_count(t->net), 1 / t->s.scaler.scale, given);
}

rn_status rn_scaled_failure(const struct rn_trainer *t, rn_status status)
{
    char scale[RN_NUMBER_CHARS], why[96];
    if (!t->c.scaling.kind) return status;
    snprintf(why, sizeof why, "with the loss scaled by %s%s", rn_number_text(scale, t->s.scaler.scale),
             t->c.scaling.kind == RN_SCALING_FIXED ? "" : ", which is as low as it goes");
    return rn_fail_in(status, why);
}
