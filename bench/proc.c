/*
 * The processor time is utime + stime as /proc/PID/stat has them, but read from the process's
 * clock: stat counts in ticks of 10 ms, too coarse for windows of half a second. Of children that
 * have ended and been waited for only stat tells, so those are counted in ticks.
 */
#include "proc.h"

#include "util.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How much of the tree is asked for: the clocks alone, or everything. */
struct walk {
    struct proc_sample *sum;
    bool everything;
    int depth;
};

static void walk_process(struct walk walk, pid_t pid);

static FILE *open_proc(pid_t pid, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return fopen(path, "re");
}

/* The number behind `key` in a file of lines "key: number", 0 where there is none. */
static uint64_t read_field(FILE *file, const char *key)
{
    char line[256];
    size_t len = strlen(key);
    uint64_t value = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, len) == 0 && line[len] == ':')
            value = strtoull(line + len + 1, NULL, 10);
    if (file != NULL)
        rewind(file);
    return value;
}

static int64_t clock_of(pid_t pid)
{
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return 0;
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

/* Fields 16 and 17 of stat, counted from behind the name, which may hold blanks. */
static int64_t clock_of_ended_children(pid_t pid)
{
    char text[1024] = "";
    long long cutime = 0, cstime = 0;
    FILE *file = open_proc(pid, "stat");
    if (file == NULL)
        return 0;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    char *rest = strrchr(text, ')');
    if (rest != NULL)
        sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lld %lld", &cutime,
               &cstime);
    return (cutime + cstime) * (1000000000 / sysconf(_SC_CLK_TCK));
}

/* Calls visit for each numeric name in /proc/PID/NAME; returns how many there are. */
static unsigned each_number(pid_t pid, const char *name,
                            void (*visit)(struct walk, pid_t pid, pid_t number), struct walk walk)
{
    char path[64];
    unsigned n = 0;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        n++;
        if (visit != NULL)
            visit(walk, pid, (pid_t)strtol(entry->d_name, NULL, 10));
    }
    if (dir != NULL)
        closedir(dir);
    return n;
}

static void visit_thread(struct walk walk, pid_t pid, pid_t tid)
{
    char name[64];
    int child;
    snprintf(name, sizeof name, "task/%d/children", (int)tid);
    FILE *file = open_proc(pid, name);
    while (file != NULL && fscanf(file, "%d", &child) == 1)
        walk_process(walk, (pid_t)child);
    if (file != NULL)
        fclose(file);
    if (!walk.everything)
        return;
    snprintf(name, sizeof name, "task/%d/status", (int)tid);
    file = open_proc(pid, name);
    walk.sum->n_switches += read_field(file, "voluntary_ctxt_switches");
    if (file != NULL)
        fclose(file);
}

static void walk_process(struct walk walk, pid_t pid)
{
    if (++walk.depth > 16)
        return;
    walk.sum->n_processes++;
    walk.sum->cpu_ns += clock_of(pid) + clock_of_ended_children(pid);
    walk.sum->n_threads += each_number(pid, "task", visit_thread, walk);
    if (!walk.everything)
        return;
    walk.sum->n_fds += each_number(pid, "fd", NULL, walk);
    FILE *file = open_proc(pid, "smaps_rollup");
    walk.sum->rss_kib += read_field(file, "Rss");
    walk.sum->pss_kib += read_field(file, "Pss");
    if (file != NULL)
        fclose(file);
}

int64_t proc_cpu_ns(pid_t root)
{
    struct proc_sample sum = {0};
    if (root > 0)
        walk_process((struct walk){.sum = &sum}, root);
    return sum.cpu_ns;
}

struct proc_sample proc_read(pid_t root)
{
    struct proc_sample sum = {0};
    if (root <= 0)
        return sum;
    walk_process((struct walk){.sum = &sum, .everything = true}, root);
    if (sum.n_threads == 0)
        die("process %d is gone", (int)root);
    return sum;
}

void proc_print(FILE *out, const struct proc_sample *sample)
{
    fprintf(out,
            "{\"cpu_ms\": %.3f, \"switches\": %llu, \"rss_kib\": %llu, \"pss_kib\": %llu, "
            "\"fds\": %u, \"processes\": %u, \"threads\": %u}",
            (double)sample->cpu_ns / 1e6, (unsigned long long)sample->n_switches,
            (unsigned long long)sample->rss_kib, (unsigned long long)sample->pss_kib, sample->n_fds,
            sample->n_processes, sample->n_threads);
}
