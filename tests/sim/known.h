/* One world whose lines are known to the microsecond, of LATENCY each way, which the test defines. Include it once. */
#ifndef SOCKEYE_TESTS_KNOWN_H
#define SOCKEYE_TESTS_KNOWN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "peer/inside.h"
#include "world.h"

#define FAST_NS 1

static struct world world;

static void begin(struct scenario scenario, size_t n_apps)
{
    scenario.n_nears = scenario.n_nears == 0 ? 1 : scenario.n_nears;
    scenario.n_workers = scenario.n_workers == 0 ? 1 : scenario.n_workers;
    scenario.latency_us = scenario.latency_us == 0 ? LATENCY : scenario.latency_us;
    scenario.ns_per_byte = scenario.ns_per_byte == 0 ? FAST_NS : scenario.ns_per_byte;
    scenario.window_bytes = 64 << 20;
    scenario.stream_window_bytes = 16 << 20;
    scenario.heal_us = BEGIN_US;
    scenario.end_us = BEGIN_US + 600 * SECOND;
    world_init(&world, &scenario);
    world_add_apps(&world, n_apps);
    for (size_t i = 0; i < n_apps; i++)
        for (unsigned side = 0; side < 2; side++)
            world.apps[i].scripts[side] =
                (struct script){.write_bytes = 65536, .read_bytes = 1 << 20};
}

static void end(void)
{
    world_free(&world);
    assert_string_equal(world.failure, "");
}

static void add_step(size_t app, unsigned side, uint64_t pause_us, uint64_t n_bytes)
{
    struct script *script = &world.apps[app].scripts[side];
    script->steps[script->n_steps++] = (struct app_step){.pause_us = pause_us, .n_bytes = n_bytes};
}

static uint64_t n_read(size_t app, unsigned side)
{
    return world.apps[app].n_read[side];
}

static void run_until(uint64_t us)
{
    while (world_step(&world, us))
        ;
    world.now_us = us;
}

#endif
