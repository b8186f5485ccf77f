/* Mail between threads: all of it arrives, in each sender's order, and wakes who sleeps. */
#include "loops.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "io/mailbox.h"
#include "io/sys.h"

enum { N_POSTERS = 4, N_MAILS = 5000 };

struct letter {
    struct mail mail;
    unsigned poster, number;
};

static struct {
    struct mailbox mailbox;
    struct letter letters[N_POSTERS][N_MAILS];
    unsigned n_from[N_POSTERS]; /* delivered */
    unsigned n_all;
    pthread_t receiver;
} post;

static void deliver(struct mail *mail)
{
    struct letter *letter = CONTAINER_OF(mail, struct letter, mail);
    assert_true(pthread_equal(pthread_self(), post.receiver));
    assert_int_equal(letter->number, post.n_from[letter->poster]);
    post.n_from[letter->poster]++;
    post.n_all++;
}

static struct loop *begin(void **state)
{
    struct loop *loop = loop_new(backend_of(state));
    assert_non_null(loop);
    assert_int_equal(mailbox_init(&post.mailbox, loop), ERR_NONE);
    memset(post.n_from, 0, sizeof post.n_from);
    post.n_all = 0;
    post.receiver = pthread_self();
    for (unsigned i = 0; i < N_POSTERS; i++)
        for (unsigned k = 0; k < N_MAILS; k++)
            post.letters[i][k] = (struct letter){.mail.deliver = deliver, .poster = i, .number = k};
    return loop;
}

static void end(struct loop *loop)
{
    mailbox_deinit(&post.mailbox);
    assert_int_equal(loop_n_watches(loop), 0);
    loop_free(loop);
}

static void *post_all(void *arg)
{
    struct letter *letters = arg;
    for (size_t i = 0; i < N_MAILS; i++)
        mailbox_post(&post.mailbox, &letters[i].mail);
    return NULL;
}

static void mail_of_many_threads_arrives_whole_and_in_the_order_of_each(void **state)
{
    struct loop *loop = begin(state);
    pthread_t posters[N_POSTERS];
    for (size_t i = 0; i < N_POSTERS; i++)
        assert_int_equal(pthread_create(&posters[i], NULL, post_all, post.letters[i]), 0);
    TURN_UNTIL(loop, post.n_all == N_POSTERS * N_MAILS);
    for (size_t i = 0; i < N_POSTERS; i++)
        assert_int_equal(pthread_join(posters[i], NULL), 0);
    end(loop);
}

static void *post_one_later(void *arg)
{
    usleep(30000);
    mailbox_post(&post.mailbox, arg);
    return NULL;
}

static void mail_wakes_a_loop_that_sleeps(void **state)
{
    struct loop *loop = begin(state);
    pthread_t poster;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&poster, NULL, post_one_later, &post.letters[0][i].mail),
                         0);
        assert_true(loop_turn(loop, PATIENCE_MS));
        assert_int_equal(post.n_all, i + 1);
        assert_int_equal(pthread_join(poster, NULL), 0);
    }
    end(loop);
}

static void answer(struct mail *mail)
{
    deliver(mail);
    if (post.n_all < 10)
        mailbox_post(&post.mailbox, &post.letters[0][post.n_all].mail);
}

static void mail_posted_while_mail_is_delivered_arrives_too(void **state)
{
    struct loop *loop = begin(state);
    for (size_t i = 0; i < 10; i++)
        post.letters[0][i].mail.deliver = answer;
    mailbox_post(&post.mailbox, &post.letters[0][0].mail);
    TURN_UNTIL(loop, post.n_all == 10);
    end(loop);
}

static void what_was_never_delivered_is_when_the_box_goes(void **state)
{
    struct loop *loop = begin(state);
    mailbox_post(&post.mailbox, &post.letters[0][0].mail);
    mailbox_post(&post.mailbox, &post.letters[0][1].mail);
    assert_int_equal(post.n_all, 0);
    end(loop);
    assert_int_equal(post.n_all, 2);
}

static void a_box_that_cannot_be_made_leaves_nothing(void **state)
{
    struct loop *loop = loop_new(backend_of(state));
    struct mailbox mailbox;
    size_t n_fds = count_fds();
    sys_fault_set(SYS_FAULT_FAIL, 1);
    assert_int_equal(mailbox_init(&mailbox, loop), ERR_DESCRIPTORS);
    sys_fault_set(SYS_FAULT_NONE, 0);
    mailbox_deinit(&mailbox);
    assert_int_equal(count_fds(), n_fds);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(mail_of_many_threads_arrives_whole_and_in_the_order_of_each),
        ON_BOTH(mail_wakes_a_loop_that_sleeps),
        ON_BOTH(mail_posted_while_mail_is_delivered_arrives_too),
        ON_BOTH(what_was_never_delivered_is_when_the_box_goes),
        ON_BOTH(a_box_that_cannot_be_made_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
