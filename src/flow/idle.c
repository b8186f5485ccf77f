#include "flow/idle.h"

static void arm(struct idle_queue *queue)
{
    if (list_empty(&queue->waiting) || queue->limit_ms == 0) {
        timer_clear(loop_timers(queue->loop), &queue->timer);
        return;
    }
    if (timer_is_set(&queue->timer))
        return;
    struct idle_wait *head = CONTAINER_OF(queue->waiting.next, struct idle_wait, link);
    uint64_t at_ms = head->since_ms + queue->limit_ms + queue->touch_ms + queue->late_ms;
    /* Out of memory the timer stays unset; whoever enters next tries again. */
    if (timer_set(loop_timers(queue->loop), &queue->timer, at_ms) != ERR_NONE)
        return;
}

static void fire(struct timer *timer)
{
    struct idle_queue *queue = CONTAINER_OF(timer, struct idle_queue, timer);
    uint64_t now_ms = loop_now_ms(queue->loop);
    while (!list_empty(&queue->waiting)) {
        struct idle_wait *head = CONTAINER_OF(queue->waiting.next, struct idle_wait, link);
        if (head->since_ms + queue->limit_ms + queue->touch_ms > now_ms)
            break;
        list_remove(&head->link);
        head->queue = NULL;
        queue->expire(head);
    }
    arm(queue);
}

void idle_queue_init(struct idle_queue *queue, struct loop *loop, uint64_t limit_ms,
                     void (*expire)(struct idle_wait *))
{
    *queue = (struct idle_queue){.loop = loop, .limit_ms = limit_ms, .expire = expire};
    list_init(&queue->waiting);
    timer_init(&queue->timer, fire);
}

static void set_laziness(struct idle_queue *queue)
{
    queue->touch_ms = queue->is_lazy ? queue->limit_ms / 8 : 0;
    queue->late_ms = queue->touch_ms;
}

void idle_queue_be_lazy(struct idle_queue *queue)
{
    queue->is_lazy = true;
    set_laziness(queue);
}

void idle_queue_set_limit(struct idle_queue *queue, uint64_t limit_ms)
{
    if (limit_ms == queue->limit_ms)
        return;
    queue->limit_ms = limit_ms;
    set_laziness(queue);
    timer_clear(loop_timers(queue->loop), &queue->timer);
    arm(queue);
}

void idle_queue_deinit(struct idle_queue *queue)
{
    timer_clear(loop_timers(queue->loop), &queue->timer);
}

void idle_wait_init(struct idle_wait *wait)
{
    *wait = (struct idle_wait){0};
    list_init(&wait->link);
}

void idle_enter(struct idle_queue *queue, struct idle_wait *wait)
{
    idle_leave(wait);
    wait->queue = queue;
    wait->since_ms = loop_now_ms(queue->loop);
    list_append(&queue->waiting, &wait->link);
    arm(queue);
}

void idle_leave(struct idle_wait *wait)
{
    if (wait->queue == NULL)
        return;
    struct idle_queue *queue = wait->queue;
    wait->queue = NULL;
    list_remove(&wait->link);
    if (list_empty(&queue->waiting))
        arm(queue);
}

void idle_touch(struct idle_wait *wait)
{
    struct idle_queue *queue = wait->queue;
    if (queue == NULL)
        return;
    uint64_t now_ms = loop_now_ms(queue->loop);
    if (now_ms - wait->since_ms <= queue->touch_ms)
        return;
    wait->since_ms = now_ms;
    list_remove(&wait->link);
    list_append(&queue->waiting, &wait->link);
}
