#include "flow/counts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void counts_init(struct counts *counts)
{
    pthread_mutex_init(&counts->lock, NULL);
    list_init(&counts->all);
}

void counts_deinit(struct counts *counts)
{
    assert(list_empty(&counts->all));
    pthread_mutex_destroy(&counts->lock);
}

static struct inbound_counts *find(struct counts *counts, const char *inbound)
{
    for (struct list *at = counts->all.next; at != &counts->all; at = at->next) {
        struct inbound_counts *found = CONTAINER_OF(at, struct inbound_counts, link);
        if (strcmp(found->name, inbound) == 0)
            return found;
    }
    return NULL;
}

static struct inbound_counts *add(struct counts *counts, const char *inbound)
{
    size_t n = strlen(inbound) + 1;
    struct inbound_counts *added = calloc(1, sizeof *added + n);
    if (added == NULL)
        return NULL;
    added->name = memcpy(added + 1, inbound, n);
    list_append(&counts->all, &added->link);
    return added;
}

enum err counts_hold(struct counts *counts, const char *inbound, struct inbound_counts **out)
{
    pthread_mutex_lock(&counts->lock);
    struct inbound_counts *found = find(counts, inbound);
    if (found == NULL)
        found = add(counts, inbound);
    if (found != NULL)
        found->n_holders++;
    pthread_mutex_unlock(&counts->lock);
    *out = found;
    return found == NULL ? ERR_MEMORY : ERR_NONE;
}

void counts_release(struct counts *counts, struct inbound_counts *of_inbound)
{
    if (of_inbound == NULL)
        return;
    pthread_mutex_lock(&counts->lock);
    if (--of_inbound->n_holders == 0) {
        list_remove(&of_inbound->link);
        free(of_inbound);
    }
    pthread_mutex_unlock(&counts->lock);
}
