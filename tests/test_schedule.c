/* test_schedule.c - learning rates against numbers that PyTorch 2.13 printed (its schedulers
 * stepped one by one, the cosine in its closed form), and what ours promises beyond: no state,
 * no drift, clamped ends. */
#include "tests/test.h"

#include "train/schedule.h"

static const struct rn_plateau calm = {0};

static void check_rates(const char *what, const struct rn_schedule *s, const double *want,
                        int count, bool per_step)
{
    for (int i = 0; i < count; i++) {
        double got = rn_schedule_lr(s, 0.1, per_step ? i : 17, per_step ? 0 : i, &calm);
        CHECK_MSG(fabs(got - want[i]) <= 1e-15, "%s: at %d %.17g instead of %.17g", what, i, got,
                  want[i]);
    }
}

static void test_cosine(void)
{
    static const double want[] = { 0.1,
                                   0.0905463412215599,
                                   0.0657963412215599,
                                   0.03520365877844011,
                                   0.010453658778440109,
                                   0.001,
                                   0.001,
                                   0.001 }; /* stays at its end */
    struct rn_schedule s = { .kind = RN_COSINE, .span = 5, .low = 0.001 };
    check_rates("cosine", &s, want, 8, false);
    CHECK(rn_schedule_lr(&s, 0.1, 0, 0, &calm) == 0.1);
    CHECK(rn_schedule_lr(&s, 0.1, 0, 5, &calm) == 0.001);
}

static void test_step(void)
{
    static const double want[] = { 0.1, 0.1, 0.03, 0.03, 0.009, 0.009, 0.0026999999999999997 };
    struct rn_schedule s = { .kind = RN_STEP_DECAY, .step_size = 2, .gamma = 0.3 };
    check_rates("step", &s, want, 7, false);
}

static void test_warmup(void)
{
    static const double want[] = { 0.03333333333333333,
                                   0.06666666666666667,
                                   0.1,
                                   0.1,
                                   0.08535533905932738,
                                   0.05,
                                   0.014644660940672627,
                                   0 };
    struct rn_schedule s = { .kind = RN_COSINE, .span = 4, .warmup = 3 };
    check_rates("warm-up and cosine", &s, want, 8, false);
    s.kind = RN_CONSTANT;
    CHECK(rn_schedule_lr(&s, 0.1, 0, 99, &calm) == 0.1);
}

/* rate, momentum of torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=11) */
static const double one[][2] = {
    { 0.004, 0.95 }, { 0.04223411137347358, 0.9101728006526316 },
    { 0.09602614247226175, 0.8541394349247273 }, { 0.09797465678213016, 0.8520253513192751 },
    { 0.08844757247686304, 0.8615524737330319 }, { 0.07260870492975284, 0.8773914046358657 },
    { 0.05305827080875998, 0.8969419169589078 }, { 0.03300580289872949, 0.9169944650791307 },
    { 0.015743251279950788, 0.9342570857483922 }, { 0.0041045543206290865, 0.9458958292626879 },
    { 4e-07, 0.95 },
};

static void test_one_cycle(void)
{
    struct rn_schedule s = { .kind = RN_ONE_CYCLE, .span = 1, .steps_per_epoch = 11, .rise = 0.3,
                             .divide = 25, .final_divide = 1e4, .cycle_momentum = true,
                             .momentum_low = 0.85, .momentum_high = 0.95 };
    for (int i = 0; i < 11; i++) {
        CHECK(fabs(rn_schedule_lr(&s, 0.1, i, 0, &calm) - one[i][0]) <= 1e-15);
        CHECK(fabs(rn_schedule_momentum(&s, 0.9, i) - one[i][1]) <= 1e-15);
    }
    CHECK(rn_schedule_lr(&s, 0.1, 500, 45, &calm) == rn_schedule_lr(&s, 0.1, 10, 0, &calm));
    s.cycle_momentum = false;
    CHECK(rn_schedule_momentum(&s, 0.9, 5) == 0.9);

    static const double eight[] = { 0.01, 0.0325, 0.0775, 0.1, 0.08536998372026805, 0.05005,
                                    0.014730016279731955, 0.0001 };
    struct rn_schedule t = { .kind = RN_ONE_CYCLE, .span = 2, .steps_per_epoch = 4, .rise = 0.5,
                             .divide = 10, .final_divide = 100 };
    check_rates("one-cycle of 8 steps", &t, eight, 8, true);
}

/* The shortest cycles, where a phase has no length. */
static void test_one_cycle_short(void)
{
    struct rn_schedule s = { .kind = RN_ONE_CYCLE, .span = 1, .divide = 25, .final_divide = 1e4 };
    for (int steps = 1; steps <= 4; steps++)
        for (int tenths = 0; tenths <= 10; tenths++)
            for (int i = 0; i < steps; i++) {
                s.steps_per_epoch = steps;
                s.rise = tenths / 10.0;
                double lr = rn_schedule_lr(&s, 0.1, i, 0, &calm);
                CHECK_MSG(lr > 0 && lr <= 0.1, "%d steps, rise %g: step %d has %g", steps, s.rise,
                          i, lr);
            }
}

static void test_plateau(void)
{
    static const double loss[] = { 1.0, 0.95, 0.89, 0.9, 0.9, 0.9, 0.9, 0.7, 0.8, 0.8, 0.8, 0.8 };
    static const double want[] = { 0.1,  0.1,  0.1,  0.1,  0.05, 0.05,
                                   0.03, 0.03, 0.03, 0.03, 0.03, 0.03 };
    struct rn_schedule s = {
        .kind = RN_PLATEAU, .factor = 0.5, .threshold = 0.1, .patience = 1, .low = 0.03
    };
    struct rn_plateau p = {0};
    for (int i = 0; i < 12; i++) {
        rn_plateau_update(&p, &s, loss[i]);
        CHECK_MSG(rn_schedule_lr(&s, 0.1, 0, i + 1, &p) == want[i], "plateau after %d losses",
                  i + 1);
    }
}

/* Rates of two groups, epochs without a gain, cooldown, after each value: as torch's ReduceLROnPlateau had them. */
struct plateau_row { double value, lr[2]; int bad, cooldown; };

static void check_plateau(const char *what, const struct rn_schedule *s, const struct plateau_row *row, int rows)
{
    struct rn_plateau p = {0};
    for (int i = 0; i < rows; i++) {
        rn_plateau_update(&p, s, row[i].value);
        bool same = p.bad == row[i].bad && p.cooldown == row[i].cooldown;
        for (int g = 0; g < 2; g++)
            same &= rn_schedule_lr(s, g ? 0.7 : 0.1, 0, i + 1, &p) == row[i].lr[g];
        CHECK_MSG(same, "%s: after %d values", what, i + 1);
    }
}

static void test_plateau_falling(void)
{
    static const struct plateau_row row[] = {
        { 1.0, { 0.1, 0.7 }, 0, 0 },    { 0.95, { 0.1, 0.7 }, 0, 0 },   { 0.89, { 0.1, 0.7 }, 0, 0 },
        { 0.9, { 0.1, 0.7 }, 1, 0 },    { 0.9, { 0.03, 0.21 }, 0, 2 },  { 0.9, { 0.03, 0.21 }, 0, 1 },
        { 0.9, { 0.03, 0.21 }, 0, 0 },  { 0.7, { 0.03, 0.21 }, 0, 0 },  { 0.8, { 0.03, 0.21 }, 1, 0 },
        { 0.8, { 0.009, 0.063 }, 0, 2 }, { 0.8, { 0.009, 0.063 }, 0, 1 }, { 0.8, { 0.009, 0.063 }, 0, 0 },
        { 0.8, { 0.009, 0.063 }, 1, 0 }, { 0.8, { 0.0026999999999999997, 0.0189 }, 0, 2 },
        { 0.6995, { 0.0026999999999999997, 0.0189 }, 0, 1 }, { 0.69, { 0.0026999999999999997, 0.0189 }, 0, 0 },
        { 0.7, { 0.0026999999999999997, 0.0189 }, 1, 0 }, { 0.7, { 0.001, 0.00567 }, 0, 2 },
    };
    const struct rn_schedule s = { .kind = RN_PLATEAU, .factor = 0.3, .patience = 1, .threshold = 0.01,
                                   .cooldown = 2, .low = 0.001, .least_cut = 1e-8 };
    check_plateau("falling, relative", &s, row, RN_COUNT(row));
}

static void test_plateau_rising(void)
{
    static const struct plateau_row row[] = {
        { 47, { 0.1, 0.7 }, 0, 0 },         { 47, { 0.05, 0.35 }, 0, 1 },       { 46.9, { 0.05, 0.35 }, 0, 0 },
        { 46.995, { 0.025, 0.175 }, 0, 1 }, { 48, { 0.025, 0.175 }, 0, 0 },     { 48, { 0.025, 0.0875 }, 0, 1 },
        { 48, { 0.025, 0.0875 }, 0, 0 },    { 48, { 0.025, 0.04375 }, 0, 1 },   { 48, { 0.025, 0.04375 }, 0, 0 },
        { 48, { 0.025, 0.021875 }, 0, 1 },  { 47, { 0.025, 0.021875 }, 0, 0 },  { 49, { 0.025, 0.021875 }, 0, 0 },
        { 49, { 0.025, 0.021875 }, 0, 1 },  { 49, { 0.025, 0.021875 }, 0, 0 },
    };
    const struct rn_schedule s = { .kind = RN_PLATEAU, .factor = 0.5, .threshold = 0.5, .absolute = true,
                                   .rising = true, .cooldown = 1, .least_cut = 0.02 };
    check_plateau("rising, absolute", &s, row, RN_COUNT(row));
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_cosine), RN_TEST_ROW(test_step), RN_TEST_ROW(test_warmup),
        RN_TEST_ROW(test_one_cycle), RN_TEST_ROW(test_one_cycle_short), RN_TEST_ROW(test_plateau),
        RN_TEST_ROW(test_plateau_falling), RN_TEST_ROW(test_plateau_rising),
    };
    return rn_test_main("test_schedule", rows, RN_COUNT(rows), argc, argv);
}
