/*
 * demo.c - the built-in data set: pictures of simple shapes, computed from their number alone.
 *
 * Ten classes at 32 x 32: five plain outlines, three textures on any outline, and two arrangements
 * of a disc and a square that differ in which is on top.  Two classes at 64 x 64 and 224 x 224: a
 * smooth and a striped body one above the other.  Colours, the sign of the contrast, place, size,
 * tilt, background, noise and stray lines are drawn without looking at the class, so that no single
 * pixel and no weighted sum of pixels tells it: tests/test_demo.c holds the set to that.  No class
 * changes when a picture is mirrored left to right.
 *
 * Not a benchmark, and no photograph ever looked like this.  Integer arithmetic only: every machine
 * makes the same bytes.  Lengths are in units of 1/2048 of the picture's side, slopes in 1/4096.
 */
#include "data/sets.h"

#include "base/random.h"

#include <inttypes.h>

#define FRAME 2048          /* the side of a picture, whatever its pixels */
#define ONE 4096            /* 1.0 of the sine and cosine of a tilt */
#define DEMO_SEED 0x64656d6fu /* part of the data set: never change */

enum outline { DISC, RING, SQUARE, TRIANGLE, PLUS, BAR };
enum texture { PLAIN, ACROSS, DOWN, CHEQUERED };

/* One thing in a picture: `r` is half its height, `period` the width of a stripe. */
struct shape {
    enum outline outline;
    enum texture texture;
    int x, y, r, cosine, sine, period, phase;
    uint8_t colour[3], other[3]; /* other: of the stripes between */
};

struct canvas { uint8_t *pixels; int side; }; /* [3][side][side] */

/* low ... high, both included. */
static int between(struct rn_random *r, int low, int high)
{
    return low + (int)rn_random_below(r, (uint32_t)(high - low + 1));
}

static uint8_t to_byte(int x)
{
    return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
}

/* A tilt of 2 atan(t / 64), exactly on the unit circle but for the division. */
static void tilt(struct shape *s, int t)
{
    int length = 64 * 64 + t * t;
    s->cosine = ONE * (64 * 64 - t * t) / length;
    s->sine = ONE * 2 * 64 * t / length;
}

/* Is the point (u, v), seen from the upright shape's middle, v down, inside its outline? */
static bool inside(const struct shape *s, int u, int v)
{
    int r = s->r, au = u < 0 ? -u : u, av = v < 0 ? -v : v, d2 = u * u + v * v;
    switch (s->outline) {
    case DISC: return d2 <= r * r;
    case RING: return d2 <= r * r && 25 * d2 >= 9 * r * r;
    case SQUARE: return 8 * au <= 7 * r && 8 * av <= 7 * r;
    case TRIANGLE: return v >= -r && 4 * v <= 3 * r && 7 * au <= 4 * (v + r);
    case PLUS: return (3 * au <= r && av <= r) || (3 * av <= r && au <= r);
    case BAR: return au <= r && 64 * av <= FRAME;
    }
    return false;
}

/* Between stripes?  u and v are made positive first, so that division rounds one way. */
static bool gap(const struct shape *s, int u, int v)
{
    if (s->texture == PLAIN) return false;
    int across = ((v + s->phase + 8 * FRAME) / s->period) & 1;
    int down = ((u + s->phase + 8 * FRAME) / s->period) & 1;
    switch (s->texture) {
    case PLAIN: break;
    case ACROSS: return across;
    case DOWN: return down;
    case CHEQUERED: return across ^ down;
    }
    return false;
}

/* Paints the shape with 2 x 2 samples a pixel. */
static void paint(struct canvas c, const struct shape *s)
{
    int plane = c.side * c.side, reach = s->r * 3 / 2;
    int x0 = RN_MAX(0, (s->x - reach) * c.side / FRAME);
    int x1 = RN_MIN(c.side - 1, (s->x + reach) * c.side / FRAME);
    int y0 = RN_MAX(0, (s->y - reach) * c.side / FRAME);
    int y1 = RN_MIN(c.side - 1, (s->y + reach) * c.side / FRAME);
    for (int y = y0; y <= y1; y++)
        for (int x = x0; x <= x1; x++) {
            int hit[2] = {0, 0};
            for (int i = 0; i < 4; i++) {
                int dx = (4 * x + 2 * (i & 1) + 1) * FRAME / (4 * c.side) - s->x;
                int dy = (4 * y + (i & 2) + 1) * FRAME / (4 * c.side) - s->y;
                int u = (dx * s->cosine + dy * s->sine) / ONE;
                int v = (dy * s->cosine - dx * s->sine) / ONE;
                if (inside(s, u, v)) hit[gap(s, u, v)]++;
            }
            if (hit[0] + hit[1] == 0) continue;
            uint8_t *p = c.pixels + y * c.side + x;
            for (int k = 0; k < 3; k++, p += plane)
                *p = (uint8_t)((*p * (4 - hit[0] - hit[1]) + s->colour[k] * hit[0] +
                                s->other[k] * hit[1]) / 4);
        }
}

/* A plane of colour that changes evenly along a random direction. */
static void background(struct canvas c, struct rn_random *r, const int middle[3])
{
    for (int k = 0; k < 3; k++) {
        int gx = between(r, -60, 60), gy = between(r, -60, 60);
        for (int y = 0; y < c.side; y++)
            for (int x = 0; x < c.side; x++)
                *c.pixels++ = to_byte(middle[k] + (gx * (2 * x - c.side) + gy * (2 * y - c.side)) /
                                                      (2 * c.side));
    }
}

/* Adds to every byte a number with a triangular distribution (SplitMix64, Vigna 2015). */
static void noise(struct canvas c, uint64_t state, int amplitude)
{
    for (int i = 0; i < 3 * c.side * c.side; i++) {
        uint64_t z = state += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        int n = (int)(z & 255) + (int)(z >> 8 & 255) - 255;
        c.pixels[i] = to_byte(c.pixels[i] + n * amplitude / 255);
    }
}

/* A colour that differs from the background in every channel, up or down without preference. */
static void contrast(uint8_t colour[3], struct rn_random *r, const int middle[3])
{
    int sign = between(r, 0, 1) ? 1 : -1;
    for (int k = 0; k < 3; k++) {
        int flip = between(r, 0, 7) ? 1 : -1;
        colour[k] = to_byte(middle[k] + sign * flip * between(r, 45, 90));
    }
}

/* Up to two thin lines anywhere, under everything else. */
static void stray_lines(struct canvas c, struct rn_random *r, const int middle[3])
{
    for (int i = between(r, 0, 2); i > 0; i--) {
        struct shape s = { .outline = BAR, .texture = PLAIN };
        s.x = between(r, 0, FRAME);
        s.y = between(r, 0, FRAME);
        s.r = between(r, FRAME / 8, FRAME / 3);
        tilt(&s, between(r, -64, 64));
        contrast(s.colour, r, middle);
        paint(c, &s);
    }
}

/* What a shape has before its class is looked at: colours, stripes, tilt. */
static struct shape any_shape(struct rn_random *r, const int middle[3])
{
    struct shape s = { .outline = DISC, .texture = PLAIN };
    contrast(s.colour, r, middle);
    for (int k = 0; k < 3; k++) s.other[k] = (uint8_t)middle[k];
    s.period = between(r, 5, 7) * (FRAME / 64);
    s.phase = between(r, 0, 2 * s.period);
    tilt(&s, between(r, -6, 6));
    return s;
}

/* Two shapes of half height r, one above the other, about in line. */
static void paint_pair(struct canvas c, struct rn_random *r, struct shape *top,
                       struct shape *bottom)
{
    int half = top->r + between(r, 0, FRAME / 16); /* of the distance of their middles */
    int x = between(r, top->r, FRAME - top->r);
    int y = between(r, half + top->r, FRAME - half - top->r);
    struct shape *both[2] = { top, bottom };
    for (int i = 0; i < 2; i++) {
        int moved = x + between(r, -FRAME / 8, FRAME / 8);
        both[i]->x = RN_MAX(top->r, RN_MIN(FRAME - top->r, moved));
        both[i]->y = i == 0 ? y - half : y + half;
        paint(c, both[i]);
    }
}

/* Classes 0 ... 4: an outline; 5, 6, 7: a texture on any; 8, 9: disc above, below square. */
static void draw_ten(struct canvas c, struct rn_random *r, const int middle[3], int class)
{
    struct shape s = any_shape(r, middle);
    if (class < 8) {
        s.r = between(r, 480, 704);
        s.x = between(r, s.r, FRAME - s.r);
        s.y = between(r, s.r, FRAME - s.r);
        s.outline = class < 5 ? (enum outline)class : (enum outline)between(r, DISC, PLUS);
        s.texture = class < 5 ? PLAIN : (enum texture)(class - 4);
        paint(c, &s);
    } else {
        s.r = between(r, 290, 360);
        struct shape square = s;
        square.outline = SQUARE;
        if (class == 8) paint_pair(c, r, &s, &square);
        else paint_pair(c, r, &square, &s);
    }
}

/* A disc and a square, either on top, one smooth and one striped; class 0: the smooth one is above
 * the striped one.  A triangle of either kind, under them and anywhere, is not to be minded. */
static void draw_two(struct canvas c, struct rn_random *r, const int middle[3], int class)
{
    struct shape triangle = any_shape(r, middle);
    triangle.outline = TRIANGLE;
    triangle.texture = (enum texture)between(r, PLAIN, DOWN);
    triangle.period = between(r, 3, 5) * (FRAME / 64);
    triangle.r = between(r, 290, 400);
    triangle.x = between(r, triangle.r, FRAME - triangle.r);
    triangle.y = between(r, triangle.r, FRAME - triangle.r);
    paint(c, &triangle);
    struct shape top = any_shape(r, middle);
    top.r = between(r, 290, 400);
    top.period = between(r, 3, 5) * (FRAME / 64);
    struct shape bottom = top;
    top.outline = between(r, 0, 1) ? DISC : SQUARE;
    bottom.outline = top.outline == DISC ? SQUARE : DISC;
    (class == 0 ? &bottom : &top)->texture = between(r, 0, 1) ? ACROSS : DOWN;
    paint_pair(c, r, &top, &bottom);
}

static const char *const ten_names[] = { "disc", "ring", "square", "triangle", "plus",
                                         "striped-across", "striped-down", "chequered",
                                         "disc-above-square", "square-above-disc" };
static const char *const two_names[] = { "smooth-above-striped", "striped-above-smooth" };

/* The sets there are.  mean, std: of all training bytes over 255, to four digits; measured, and
 * the same in every channel because channels are drawn alike. */
static const struct demo {
    int side, classes, train, val;
    const char *const *names;
    double mean, std;
    void (*draw)(struct canvas c, struct rn_random *r, const int middle[3], int class);
} demos[] = {
    { 32, 10, 10000, 2000, ten_names, 0.5021, 0.1570, draw_ten },
    { 64, 2, 2000, 500, two_names, 0.5007, 0.1553, draw_two },
    { 224, 2, 1000, 250, two_names, 0.5043, 0.1580, draw_two },
};

static const struct demo *find_demo(int64_t side)
{
    for (size_t i = 0; i < RN_COUNT(demos); i++)
        if (demos[i].side == side) return &demos[i];
    return NULL;
}

void rn_demo_image(uint8_t *pixels, int side, uint32_t index)
{
    struct rn_random r = rn_random(DEMO_SEED, RN_RANDOM_DEMO, (uint32_t)side, index);
    struct canvas c = { pixels, side };
    const struct demo *d = find_demo(side);
    int middle[3];
    if (!d) return;
    for (int k = 0; k < 3; k++) middle[k] = between(&r, 88, 168);
    background(c, &r, middle);
    stray_lines(c, &r, middle);
    d->draw(c, &r, middle, (int)(index % (uint32_t)d->classes));
    int amplitude = between(&r, 10, 40); /* every draw is a statement: arguments have no order */
    noise(c, rn_random_word(&r), amplitude);
}

static rn_status make_split(struct rn_split *split, const struct rn_dataset *set, int count,
                            uint32_t first)
{
    rn_status status = rn_split_make(split, set, count);
    if (status != RN_OK) return status;
    size_t image = 3 * (size_t)set->height * (size_t)set->width;
    for (uint32_t i = 0; i < (uint32_t)count; i++) {
        rn_demo_image(split->pixels + i * image, set->height, first + i);
        split->labels[i] = (int32_t)((first + i) % (uint32_t)set->classes);
    }
    return RN_OK;
}

rn_status rn_demo_make(struct rn_dataset *set, int64_t side)
{
    const struct demo *d = find_demo(side);
    if (!d)
        return rn_fail(RN_EUSAGE, "data set demo: no images of size %" PRId64 "; there are 32 (ten "
                       "classes), 64 and 224 (two)", side);
    const double mean[3] = { d->mean, d->mean, d->mean }, std[3] = { d->std, d->std, d->std };
    rn_status status = rn_dataset_describe(set, "demo", d->side, d->names, d->classes, mean, std);
    if (status == RN_OK) status = make_split(&set->train, set, d->train, 0);
    if (status == RN_OK) status = make_split(&set->val, set, d->val, RN_DEMO_VAL);
    return status;
}
