/* Whatever a status socket answers: what can be read is shown within the screen, and what was read alike before gives rates. */
#include "admin/status_lines.h"
#include "cli/top_view.h"
#include "fuzz.h"

static void check_page(const struct status_lines *lines, const struct top_view *view)
{
    char *text = NULL;
    size_t n;
    FILE *page = open_memstream(&text, &n);
    CHECK(page != NULL);
    CHECK(top_view_print(page, view, lines, lines, 1000000) == ERR_NONE);
    CHECK(fclose(page) == 0);
    unsigned n_lines = 0, columns = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)text[i];
        CHECK(byte >= 0x20 || byte == '\n');
        columns = byte == '\n' ? 0 : columns + ((byte & 0xc0) != 0x80);
        n_lines += byte == '\n';
        CHECK(columns <= view->width);
    }
    CHECK(n_lines <= view->height);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct status_lines lines;
    uint8_t *exact = exact_copy(data, n);
    enum err err = status_lines_read(&lines, (const char *)exact, n);
    free(exact);
    if (err != ERR_NONE)
        return 0;
    for (unsigned order = TOP_BY_RATE; order <= TOP_BY_LOSSES; order++) {
        check_page(&lines, &(struct top_view){.width = 80, .height = 24, .order = order});
        check_page(&lines, &(struct top_view){
                               .width = 7, .height = 3, .order = order, .hides_links = true});
    }
    status_lines_free(&lines);
    return 0;
}
