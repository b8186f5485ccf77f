#include "daemon/runtime.h"

#include "daemon/convert.h"

enum err runtime_init(struct runtime *runtime, const struct config *config)
{
    *runtime = (struct runtime){.config = config};
    clients_init(&runtime->shared.clients);
    enum err err = convert_config(runtime);
    if (err != ERR_NONE)
        runtime_deinit(runtime);
    return err;
}

void runtime_deinit(struct runtime *runtime)
{
    convert_free(runtime);
    clients_deinit(&runtime->shared.clients);
}
