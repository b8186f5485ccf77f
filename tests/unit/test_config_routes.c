/* Rules: every kind, the files of domains, and what is said of those that are wrong. */
#include "config_fixture.h"

#define RULES(text) GOOD "routes: [" text "]\n"
#define RULE(text) RULES("\"" text "\"")

static void every_kind_is_stored(void **state)
{
    static const struct text_file files[] = {{"ads.txt", "b.org\n", 0, ERR_NONE}};
    static const struct {
        enum config_rule_kind kind;
        const char *text;
        const char *outbound;
    } expected[] = {
        {RULE_DOMAIN, "www.example.com", "direct"},
        {RULE_DOMAIN, "localhost", "out"},
        {RULE_DOMAIN_SUFFIX, "example.com", "out"},
        {RULE_DOMAIN_SUFFIX, "xn--bcher-kva.de", "out"},
        {RULE_DOMAIN_KEYWORD, "ads.", "block"},
        {RULE_DOMAIN_SET, "ads.txt", "block"},
        {RULE_IP_CIDR, NULL, "direct"},
        {RULE_IP_CIDR, NULL, "direct"},
        {RULE_SRC_IP_CIDR, NULL, "out"},
        {RULE_DST_PORT, NULL, "block"},
        {RULE_DST_PORT, NULL, "out"},
        {RULE_IN_NAME, "lan", "out"},
        {RULE_IN_USER, "ann b", "out"},
        {RULE_MATCH, NULL, "direct"},
    };
    struct config *config = parse_good(GOOD "outbounds: [{type: direct, name: out}]\n"
                                            "routes:\n"
                                            "- DOMAIN,WWW.Example.COM.,direct\n"
                                            "- \" DOMAIN , localhost\t, out \"\n"
                                            "- DOMAIN-SUFFIX,.example.com,out\n"
                                            "- DOMAIN-SUFFIX,*.xn--Bcher-kva.de.,out\n"
                                            "- DOMAIN-KEYWORD,Ads.,block\n"
                                            "- DOMAIN-SET,ads.txt,block\n"
                                            "- IP-CIDR,10.0.0.0/8,direct,resolve\n"
                                            "- IP-CIDR,2001:db8::1,direct\n"
                                            "- SRC-IP-CIDR,192.0.2.0/24,out\n"
                                            "- DST-PORT,25,block\n"
                                            "- DST-PORT,8000-8080,out\n"
                                            "- IN-NAME,lan,out\n"
                                            "- IN-USER,ann b,out\n"
                                            "- MATCH,direct\n",
                                       files, N_ITEMS(files));
    const struct config_rule *rules = config->rules;

    (void)state;
    assert_int_equal(config->n_rules, N_ITEMS(expected));
    for (size_t i = 0; i < N_ITEMS(expected); i++) {
        assert_int_equal(rules[i].kind, expected[i].kind);
        assert_string_equal(config->outbounds[rules[i].outbound].name, expected[i].outbound);
        assert_int_equal(rules[i].line, 4 + (int)i);
        assert_int_equal(rules[i].resolve, i == 6);
        if (expected[i].text != NULL)
            assert_string_equal(rules[i].text, expected[i].text);
        else
            assert_null(rules[i].text);
    }
    assert_int_equal(rules[5].n_set, 6);
    assert_memory_equal(rules[5].set, "b.org\n", 6);
    assert_int_equal(rules[6].cidr.prefix_bits, 8);
    assert_int_equal(rules[7].cidr.prefix_bits, 128);
    assert_int_equal(rules[8].cidr.family, ADDR_V4);
    assert_int_equal(rules[9].port_from, 25);
    assert_int_equal(rules[9].port_to, 25);
    assert_int_equal(rules[10].port_from, 8000);
    assert_int_equal(rules[10].port_to, 8080);
    config_free(config);
}

static void inbounds_without_a_name_are_found_by_the_one_they_get(void **state)
{
    config_free(parse_good("inbounds: [{type: http, listen: 1080}]\n"
                           "routes: [\"IN-NAME,http-1,block\"]",
                           NULL, 0));
    (void)state;
}

static void no_rules_are_fine(void **state)
{
    struct config *config = parse_good(GOOD "routes: []", NULL, 0);

    (void)state;
    assert_int_equal(config->n_rules, 0);
    config_free(config);
}

#define LABEL_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
/* 252 bytes: one more makes it as long as a domain may be. */
#define LONGEST LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_60
#define LABEL_60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define AT "s.yaml:2:10: "

static void a_rule_that_is_none_is_told(void **state)
{
    static const struct bad bad[] = {
        {RULE("DOMAINS,a,direct"), AT "routes: \"DOMAINS\" is no kind of rule; did you mean "
                                      "DOMAIN?\n"},
        {RULE("domain-suffix,a,direct"), AT "routes: \"domain-suffix\" is no kind of rule; did "
                                            "you mean DOMAIN-SUFFIX?\n"},
        {RULE("PROCESS-NAME,curl,direct"),
         AT "routes: \"PROCESS-NAME\" is no kind of rule; known are DOMAIN, DOMAIN-SUFFIX, "
            "DOMAIN-KEYWORD, DOMAIN-SET, IP-CIDR, SRC-IP-CIDR, DST-PORT, IN-NAME, IN-USER, "
            "MATCH\n"},
        {RULE("IP-CIDR6,::/0,direct"), AT "routes: \"IP-CIDR6\" is no kind of rule; did you mean "
                                          "IP-CIDR?\n"},
        {RULE(""), AT "routes: expected \"DOMAIN-SUFFIX,example.com,OUTBOUND\"; within [ ] a rule "
                      "must be in quotes\n"},
        {RULES("DOMAIN,a.com"), AT
         "routes: expected \"DOMAIN,www.example.com,OUTBOUND\"; within [ ] a rule must be in "
         "quotes\n"
         "s.yaml:2:17: routes: expected \"DOMAIN-SUFFIX,example.com,OUTBOUND\"; within [ ] a rule "
         "must be in quotes\n"},
        {RULE("${SECRET},a,direct"),
         AT "routes: this is no kind of rule; known are DOMAIN, DOMAIN-SUFFIX, DOMAIN-KEYWORD, "
            "DOMAIN-SET, IP-CIDR, SRC-IP-CIDR, DST-PORT, IN-NAME, IN-USER, MATCH\n"},
        {RULE("DOMAIN,a"), AT "routes: expected \"DOMAIN,www.example.com,OUTBOUND\"\n"},
        {RULE("DOMAIN,,direct"), AT "routes: expected \"DOMAIN,www.example.com,OUTBOUND\"\n"},
        {RULE("DOMAIN,a,b,c,d"), AT "routes: expected \"DOMAIN,www.example.com,OUTBOUND\"\n"},
        {RULE("DOMAIN,a,"), AT "routes: expected \"DOMAIN,www.example.com,OUTBOUND\"\n"},
        {RULE("MATCH"), AT "routes: expected \"MATCH,OUTBOUND\"; within [ ] a rule must be in "
                           "quotes\n"},
        {RULE("MATCH,*,direct"), AT "there is no outbound named \"*\"\n" AT
                                    "routes: \"direct\" after the outbound; only \"resolve\" can "
                                    "stand there\n"},
        {RULE("IP-CIDR,10.0.0.0/8"),
         AT "routes: expected \"IP-CIDR,10.0.0.0/8,OUTBOUND\" or \"...,resolve\"\n"},
        {RULE("DOMAIN,a,DIRECT"),
         AT "there is no outbound named \"DIRECT\"; did you mean \"direct\"?\n"},
        {RULE("DOMAIN,a,lan"), AT "there is no outbound named \"lan\"\n"},
        {RULE("IN-NAME,lna,direct"),
         AT "there is no inbound named \"lna\"; did you mean \"lan\"?\n"},
        {RULES("5, [a], x: y"), "s.yaml:2:10: routes: expected a list of rules such as "
                                "\"DOMAIN-SUFFIX,example.com,OUTBOUND\", found 5\n"
                                "s.yaml:2:13: routes: expected a list of rules such as "
                                "\"DOMAIN-SUFFIX,example.com,OUTBOUND\", found a list\n"
                                "s.yaml:2:18: routes: expected a list of rules such as "
                                "\"DOMAIN-SUFFIX,example.com,OUTBOUND\", found a mapping\n"},
        {GOOD "routes: \"MATCH,direct\"",
         "s.yaml:2:9: routes: expected a list of rules such as "
         "\"DOMAIN-SUFFIX,example.com,OUTBOUND\", found \"MATCH,direct\" in quotes\n"},
        {RULE("IP-CIDR,10.0.0.1/8,direct"),
         AT "routes: \"10.0.0.1/8\" has bits set beyond its prefix; did you mean "
            "\"10.0.0.0/8\"?\n"},
        {RULE("IP-CIDR,10.0.0.0/33,direct"),
         AT "routes: \"10.0.0.0/33\" is no address and no block such as \"10.0.0.0/8\"\n"},
        {RULE("IP-CIDR,example.com,direct"),
         AT "routes: \"example.com\" is no address and no block such as \"10.0.0.0/8\"\n"},
        {RULE("IP-CIDR,*,direct"),
         AT "routes: \"*\" is no block; a rule for all that is left is MATCH\n"},
        {RULE("IP-CIDR,10.0.0.0/8,direct,no-resolve"),
         AT "routes: \"no-resolve\" is so without being said: leave it out\n"},
        {RULE("SRC-IP-CIDR,10.0.0.0/8,direct,resolve"),
         AT "routes: \"resolve\" belongs to IP-CIDR only: no other rule asks for addresses\n"},
        {RULE("MATCH,direct,resolve"),
         AT "routes: \"resolve\" belongs to IP-CIDR only: no other rule asks for addresses\n"},
        {RULE("DST-PORT,0,direct"), AT "routes: \"0\" is no port from 1 to 65535 and no range "
                                       "such as \"8000-8080\"\n"},
        {RULE("DST-PORT,5-4,direct"), AT "routes: \"5-4\" is no port from 1 to 65535 and no range "
                                         "such as \"8000-8080\"\n"},
        {RULE("DST-PORT,https,direct"), AT "routes: \"https\" is no port from 1 to 65535 and no "
                                           "range such as \"8000-8080\"\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
}

static void a_domain_that_is_none_is_told(void **state)
{
#define STAR "has a \"*\", which is known only as \"*.\" before a suffix\n"
    static const struct bad bad[] = {
        {RULE("DOMAIN,b\xc3\xbc.de,direct"), AT "routes: \"b\xc3\xbc.de\" is not ASCII; write such "
                                                "a name in punycode (xn--...)\n"},
        {RULE("DOMAIN-KEYWORD,b\xc3\xbc,direct"), AT "routes: \"b\xc3\xbc\" is not ASCII; write "
                                                     "such a name in punycode (xn--...)\n"},
        {RULE("DOMAIN,*.a.com,direct"),
         AT "routes: \"*.a.com\" is no single name; did you mean DOMAIN-SUFFIX?\n"},
        {RULE("DOMAIN,*a.com,direct"), AT "routes: \"*a.com\" " STAR},
        {RULE("DOMAIN-SUFFIX,a*.com,direct"), AT "routes: \"a*.com\" " STAR},
        {RULE("DOMAIN-SUFFIX,*,direct"), AT "routes: \"*\" " STAR},
        {RULE("DOMAIN,a..b,direct"), AT "routes: \"a..b\" has an empty label\n"},
        {RULE("DOMAIN,.a,direct"),
         AT "routes: \".a\" is no single name; did you mean DOMAIN-SUFFIX?\n"},
        {RULE("DOMAIN,.,direct"), AT "routes: \".\" has an empty label\n"},
        {RULE("DOMAIN-SUFFIX,..a,direct"), AT "routes: \".a\" has an empty label\n"},
        {RULE("DOMAIN,a b,direct"), AT "routes: \"a b\" holds a character that no domain has\n"},
        {RULE("DOMAIN,https://a,direct"),
         AT "routes: \"https://a\" is no domain; expected one without \"http://\", port or path\n"},
        {RULE("DOMAIN,192.0.2.1,direct"),
         AT "routes: \"192.0.2.1\" ends in a number; addresses go into IP-CIDR rules\n"},
        {RULE("DOMAIN," LABEL_63 "a.b,direct"),
         AT "routes: \"" LABEL_63 "a.b\" has a label longer than 63 bytes\n"},
        {RULE("DOMAIN,b." LABEL_63 "a,direct"),
         AT "routes: \"b." LABEL_63 "a\" has a label longer than 63 bytes\n"},
        {RULE("DOMAIN," LONGEST "bb,direct"), AT "routes: \"" LABEL_63 ".aaaaaaa...\""
                                                 " is longer than 253 bytes\n"},
        {RULE("DOMAIN-KEYWORD," LONGEST "bb,direct"), AT "routes: \"" LABEL_63 ".aaaaaaa...\""
                                                         " is longer than 253 bytes\n"},
    };
    (void)state;
    assert_all_refused(bad, N_ITEMS(bad), NULL, 0);
    config_free(parse_good(RULE("DOMAIN," LONGEST "b.,direct"), NULL, 0));
    config_free(parse_good(RULE("DOMAIN-KEYWORD," LONGEST "b,direct"), NULL, 0));
}

static void rules_behind_match_are_warned_of_once(void **state)
{
    static struct said said;
    struct config *config;

    (void)state;
    assert_int_equal(parse_among(&config, &said, "s.yaml",
                                 GOOD "routes:\n- MATCH,direct\n- DOMAIN,a,block\n- MATCH,block\n",
                                 NULL, 0),
                     ERR_NONE);
    assert_string_equal(
        said.text, "s.yaml:4:3: warning: routes: never reached, as MATCH in line 3 comes first\n");
    assert_int_equal(config->n_rules, 3);
    config_free(config);
}

static void assert_set(const char *content, size_t n, const char *expected)
{
    const struct text_file file = {"d", content, n, ERR_NONE};
    struct config *config = parse_good(RULE("DOMAIN-SET,d,block"), &file, 1);

    assert_int_equal(config->rules[0].n_set, strlen(expected));
    assert_memory_equal(config->rules[0].set, expected, strlen(expected));
    config_free(config);
}

static void a_set_is_a_domain_a_line(void **state)
{
    (void)state;
    assert_set("Example.COM\n.a.org\n*.b.org\n+.c.org.\nlocalhost\n", 0,
               "example.com\na.org\nb.org\nc.org\nlocalhost\n");
    assert_set("\xef\xbb\xbf"
               "a.com\r\n\r\n# b.com\n  \t\n\t c.com \t# d\r\n#\ne_1.x-y.com",
               0, "a.com\nc.com\ne_1.x-y.com\n");
    /* Not a byte to spare: its newline has room where the text's end was. */
    assert_set("a", 0, "a\n");
    assert_set("a\n", 0, "a\n");
}

static void wrong_lines_of_a_set_are_told(void **state)
{
    static const char content[] = "good.com\n0.0.0.0 ads.com\nb\xc3\xbc.de\n*.a b.com\nx\0y.com\n"
                                  "http://a.com\n\n..b\n192.0.2.1 # c\n.\n*.\n||ads.com^\r\n";
    static const struct text_file files[] = {
        {"dir/d", content, sizeof content - 1, ERR_NONE},
        {"closed", "", 0, ERR_PERMITTED},
    };
    static struct said said;
    struct config *config;

    (void)state;
    assert_int_equal(parse_among(&config, &said, "dir/s.yaml", RULE("DOMAIN-SET,d,block"), files,
                                 N_ITEMS(files)),
                     ERR_BAD);
    assert_string_equal(
        said.text,
        "dir/d:2: \"0.0.0.0 ads.com\" is more than one word; expected one domain a line\n"
        "dir/d:3: \"b\xc3\xbc.de\" is not ASCII; write such a name in punycode (xn--...)\n"
        "dir/d:4: \"*.a b.com\" is more than one word; expected one domain a line\n"
        "dir/d:5: \"x\\x00y.com\" holds a character that no domain has\n"
        "dir/d:6: \"http://a.com\" is no domain; expected one without \"http://\", port or path\n"
        "dir/d:8: \"..b\" has an empty label\n"
        "dir/d:9: \"192.0.2.1\" ends in a number; addresses go into IP-CIDR rules\n"
        "dir/d:10: \".\" has an empty label\n"
        "dir/d:11: \"*.\" has a \"*\", which is known only as \"*.\" before a suffix\n"
        "dir/d:12: \"||ads.com^\" holds a character that no domain has\n");
    static const struct bad bad[] = {
        {RULE("DOMAIN-SET,closed,direct"),
         AT "DOMAIN-SET: \"closed\": reading it is not permitted\n"},
        {RULE("DOMAIN-SET,gone,direct"), AT "DOMAIN-SET: \"gone\": there is no such file\n"},
    };
    assert_all_refused(bad, N_ITEMS(bad), files, N_ITEMS(files));
}

static void a_hundred_wrong_lines_are_shown_and_all_counted(void **state)
{
    static char content[3 * 300 + 1];
    static struct said said;
    struct config *config;

    (void)state;
    for (size_t i = 0; i < 300; i++)
        memcpy(content + 3 * i, "/x\n", 3);
    const struct text_file file = {"d", content, 0, ERR_NONE};
    assert_int_equal(parse_among(&config, &said, "s.yaml", RULE("DOMAIN-SET,d,block"), &file, 1),
                     ERR_BAD);
    assert_int_equal(said.messages.n_errors, 300);
    assert_non_null(strstr(said.text, "\nd:100: \"/x\" is no domain"));
    assert_null(strstr(said.text, "d:101"));
    assert_non_null(strstr(said.text, "s.yaml: 200 more messages not shown\n"));
}

static void a_set_without_domains_is_warned_of(void **state)
{
    static const struct text_file file = {"d", "# none\n\n", 0, ERR_NONE};
    static struct said said;
    struct config *config;

    (void)state;
    assert_int_equal(parse_among(&config, &said, "s.yaml", RULE("DOMAIN-SET,d,block"), &file, 1),
                     ERR_NONE);
    assert_string_equal(said.text, AT "warning: routes: there is no domain in this file, so that "
                                      "the rule never matches\n");
    assert_int_equal(config->rules[0].n_set, 0);
    config_free(config);
}

static void long_sets_are_kept_whole(void **state)
{
    enum { N = 200000 };
    char *content = malloc(N * 32), *expected = malloc(N * 32);
    size_t n_content = 0, n_expected = 0;

    (void)state;
    assert_non_null(content);
    assert_non_null(expected);
    for (int i = 0; i < N; i++) {
        n_content += (size_t)snprintf(content + n_content, 32, "%sHost%d.Example\n",
                                      i % 3 == 0   ? "*."
                                      : i % 7 == 0 ? " "
                                                   : "",
                                      i);
        n_expected += (size_t)snprintf(expected + n_expected, 32, "host%d.example\n", i);
    }
    const struct text_file file = {"d", content, n_content, ERR_NONE};
    struct config *config = parse_good(RULE("DOMAIN-SET,d,block"), &file, 1);
    assert_int_equal(config->rules[0].n_set, n_expected);
    assert_int_equal(memcmp(config->rules[0].set, expected, n_expected), 0);
    config_free(config);
    free(content);
    free(expected);
}

static void rules_print_as_themselves(void **state)
{
    static const struct text_file file = {"a ${x", "a.com\n", 0, ERR_NONE};

    (void)state;
    assert_prints_as_itself(RULES("\"DOMAIN,A.com,direct\", \"DOMAIN-SUFFIX,*.b,block\", "
                                  "\"DOMAIN-KEYWORD,x,direct\", \"DOMAIN-SET,a $${x,block\", "
                                  "\"IP-CIDR,::/0,direct,resolve\", \"SRC-IP-CIDR,::1,direct\", "
                                  "\"DST-PORT,5,direct\", \"DST-PORT,5-6,direct\", "
                                  "\"IN-NAME,lan,direct\", \"IN-USER,\\e\\\"b,direct\", "
                                  "\"MATCH,block\""),
                            &file, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_stored),
        cmocka_unit_test(inbounds_without_a_name_are_found_by_the_one_they_get),
        cmocka_unit_test(no_rules_are_fine),
        cmocka_unit_test(a_rule_that_is_none_is_told),
        cmocka_unit_test(a_domain_that_is_none_is_told),
        cmocka_unit_test(rules_behind_match_are_warned_of_once),
        cmocka_unit_test(a_set_is_a_domain_a_line),
        cmocka_unit_test(wrong_lines_of_a_set_are_told),
        cmocka_unit_test(a_hundred_wrong_lines_are_shown_and_all_counted),
        cmocka_unit_test(a_set_without_domains_is_warned_of),
        cmocka_unit_test(long_sets_are_kept_whole),
        cmocka_unit_test(rules_print_as_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
