/* Tests of what written answers are judged by: each kind of instruction, the loose variants, languages, and numbers. */
#include "unit.h"
#include <string.h>
#include "measure/answer_text.h"
#include "measure/ifeval.h"
#include "measure/match.h"
#include "measure/number_answer.h"

static const struct {
    const char *name, *args, *text;
    enum ifeval_verdict strict, loose;
} cases[] = {
    {"keywords:existence", "{\"keywords\": [\"Fox\", \"a.b\"]}", "the foxes a.b", 1, 1},
    {"keywords:existence", "{\"keywords\": [\"a.b\"]}", "axb", 0, 0},
    {"keywords:frequency", "{\"keyword\": \"la\", \"frequency\": 3, \"relation\": \"at least\"}", "Lalala", 1,
     1},
    {"keywords:frequency", "{\"keyword\": \"la\", \"frequency\": 3, \"relation\": \"less than\"}", "Lalala",
     0, 0},
    {"keywords:forbidden_words", "{\"forbidden_words\": [\"cat\"]}", "concatenate", 1, 1},
    {"keywords:forbidden_words", "{\"forbidden_words\": [\"cat\"]}", "a Cat, then", 0, 0},
    {"keywords:letter_frequency", "{\"letter\": \"e\", \"let_frequency\": 3, \"let_relation\": \"at least\"}",
     "Eve be", 1, 1},
    {"keywords:letter_frequency",
     "{\"letter\": \"!\", \"let_frequency\": 1, \"let_relation\": \"less than\"}", "no", 1, 1},
    {"keywords:letter_frequency", "{\"letter\": \"e\", \"let_frequency\": 4, \"let_relation\": \"at least\"}",
     "Eve be", 0, 0},
    {"length_constraints:number_words", "{\"num_words\": 3, \"relation\": \"less than\"}", "one two-three", 0,
     0},
    {"length_constraints:number_sentences", "{\"num_sentences\": 2, \"relation\": \"less than\"}",
     "One. Two.", 0, 0},
    {"change_case:capital_word_frequency", "{\"capital_frequency\": 3, \"capital_relation\": \"at least\"}",
     "I am (VERY) Well", 0, 0},
    {"language:response_language", "{\"language\": \"de\"}", "Das ist nicht die Katze und der Hund", 1, 1},
    {"language:response_language", "{\"language\": \"kn\"}", "This is the answer", 0, 0},
    {"language:response_language", "{\"language\": \"kn\"}", "123 456", 2, 2},
    {"language:response_language", "{\"language\": \"kn\"}", "Kannada:", 0, 0},
    {"language:response_language", "{\"language\": \"hi\"}", "\u0915\u0916", 2, 2},
    {"length_constraints:number_sentences", "{\"num_sentences\": 3, \"relation\": \"less than\"}",
     "Dr. No came. He left at 3.5 p.m. today!", 1, 1},
    {"length_constraints:number_sentences", "{\"num_sentences\": 3, \"relation\": \"at least\"}",
     "One. \"Two?\" Three", 1, 1},
    {"length_constraints:number_paragraphs", "{\"num_paragraphs\": 2}", "a\n***\nb", 1, 1},
    {"length_constraints:number_paragraphs", "{\"num_paragraphs\": 2}", "a\n***\n***\nb", 0, 0},
    {"length_constraints:number_paragraphs", "{\"num_paragraphs\": 1}", "***\na\n***", 1, 1},
    {"length_constraints:number_words", "{\"num_words\": 4, \"relation\": \"at least\"}",
     "it's na\u00efve, you", 1, 1},
    {"length_constraints:number_words", "{\"num_words\": 4, \"relation\": \"less than\"}", "one two-three", 1,
     1},
    {"length_constraints:nth_paragraph_first_word",
     "{\"num_paragraphs\": 2, \"nth_paragraph\": 2, \"first_word\": \"Well\"}", "a b\n\n \"well, c", 1, 1},
    {"length_constraints:nth_paragraph_first_word",
     "{\"num_paragraphs\": 2, \"nth_paragraph\": 3, \"first_word\": \"b\"}", "a\n\nb", 0, 0},
    {"detectable_content:number_placeholders", "{\"num_placeholders\": 2}", "[name] and [place]", 1, 1},
    {"detectable_content:number_placeholders", "{\"num_placeholders\": 2}", "[na\nme] and [place]", 0, 0},
    {"detectable_content:postscript", "{\"postscript_marker\": \"P.S.\"}", "bye\np. s. more", 1, 1},
    {"detectable_content:postscript", "{\"postscript_marker\": \"P.P.S\"}", "bye\nP.S. more", 0, 0},
    {"detectable_format:number_bullet_lists", "{\"num_bullets\": 2}", "* a\n - b\n**c**", 1, 1},
    {"detectable_format:number_bullet_lists", "{\"num_bullets\": 1}", "* a\n- b", 0, 1},
    {"detectable_format:constrained_response", "{}", "So: My answer is maybe.", 1, 1},
    {"detectable_format:constrained_response", "{}", "My answer is perhaps.", 0, 0},
    {"detectable_format:number_highlighted_sections", "{\"num_highlights\": 2}", "*a* and **b**", 1, 1},
    {"detectable_format:number_highlighted_sections", "{\"num_highlights\": 2}", "*a* and * *", 0, 0},
    {"detectable_format:multiple_sections", "{\"section_spliter\": \"SECTION\", \"num_sections\": 2}",
     "SECTION 1\na\nSECTION 2\nb", 1, 1},
    {"detectable_format:multiple_sections", "{\"section_spliter\": \"SECTION\", \"num_sections\": 2}",
     "Section 1 SECTION 2", 0, 0},
    {"detectable_format:json_format", "{}", "```json\n{\"a\": [1, null]}\n```", 1, 1},
    {"detectable_format:json_format", "{}", "Here it is:\n{\"a\": 1}", 0, 1},
    {"detectable_format:json_format", "{}", "{\"a\": 1,}", 0, 0},
    {"detectable_format:title", "{}", "<<poem of joy>>\nx", 1, 1},
    {"detectable_format:title", "{}", "<< >>", 0, 0},
    {"combination:two_responses", "{}", "a\n******\nb", 1, 1},
    {"combination:two_responses", "{}", "a******a", 0, 0},
    {"combination:two_responses", "{}", "a******b******c", 0, 0},
    {"combination:repeat_prompt", "{\"prompt_to_repeat\": \"Say HI \"}", "say hi there", 1, 1},
    {"combination:repeat_prompt", "{\"prompt_to_repeat\": \"Say hi\"}", "Sure:\nsay hi there", 0, 1},
    {"startend:end_checker", "{\"end_phrase\": \"The End.\"}", "so \"the end.\" ", 1, 1},
    {"startend:end_checker", "{\"end_phrase\": \"The end.\"}", "the end. Bye", 0, 0},
    {"change_case:capital_word_frequency", "{\"capital_frequency\": 3, \"capital_relation\": \"at least\"}",
     "I SAY, DON'T", 1, 1},
    {"change_case:capital_word_frequency", "{\"capital_frequency\": 2, \"capital_relation\": \"less than\"}",
     "A-1 Test (b) 22", 1, 1},
    {"change_case:english_capital", "{}", "THIS IS THE END", 1, 1},
    {"change_case:english_capital", "{}", "THIS IS The END", 0, 0},
    {"change_case:english_lowercase", "{}", "this is the end", 1, 1},
    {"change_case:english_lowercase", "{}", "das ist nicht die katze", 0, 0},
    {"punctuation:no_comma", "{}", "no comma", 1, 1},
    {"punctuation:no_comma", "{}", "Well, here:\nno comma", 0, 1},
    {"startend:quotation", "{}", " \"x\" ", 1, 1},
    {"startend:quotation", "{}", "\"", 0, 0},
    {"punctuation:no_comma", "{}", " \n\t", 0, 0},
    {"punctuation:no_comma", "{}", "", 0, 0},
};

static void instructions(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *args = json_loads(cases[i].args, 0, NULL);
        struct ifeval_rule r;
        assert_null(ifeval_rule_read(&r, cases[i].name, args));
        assert_string_equal(ifeval_rule_name(&r), cases[i].name);
        struct str text = str_of(cases[i].text);
        if (ifeval_strict(&r, text) != cases[i].strict || ifeval_loose(&r, text) != cases[i].loose)
            fail_msg("%s %s of '%s': strict %d, loose %d", cases[i].name, cases[i].args, cases[i].text,
                     ifeval_strict(&r, text), ifeval_loose(&r, text));
        json_decref(args);
    }
}

/* Every kind has a case that holds and one that does not. */
static void all_kinds_are_tested(void **state)
{
    int n = 0;
#define CHECK(kind, function, needs)                                        \
    {                                                                       \
        int held = 0, failed = 0;                                           \
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {       \
            held += strcmp(kind, cases[i].name) == 0 && cases[i].strict;    \
            failed += strcmp(kind, cases[i].name) == 0 && !cases[i].strict; \
        }                                                                   \
        if (!held || !failed)                                               \
            fail_msg("%s: %d hold, %d do not", kind, held, failed);         \
        n++;                                                                \
    }
#include "measure/ifeval_checks.inc"
#undef CHECK
    assert_int_equal(n, 25);
}

static void wrong_rules(void **state)
{
    struct ifeval_rule r;
    json_t *args = json_loads(
        "{\"keywords\": [1], \"num_words\": -1, \"relation\": \"at least\", \"letter\": 3}", 0, NULL);
    assert_non_null(ifeval_rule_read(&r, "keywords:none", args));
    assert_non_null(ifeval_rule_read(&r, "keywords:existence", args));
    assert_non_null(ifeval_rule_read(&r, "length_constraints:number_words", args));
    assert_non_null(ifeval_rule_read(&r, "startend:end_checker", NULL));
    assert_null(ifeval_rule_read(&r, "punctuation:no_comma", NULL));
    json_decref(args);
}

static void languages(void **state)
{
    static const struct {
        const char *text, *code;
    } texts[] = {{"It was the best of times", "en"},
                 {"Il est dans la maison avec les enfants", "fr"},
                 {"Жили у самого синего моря, и он не знал что это", "ru"},
                 {"Това е за да се знае", "bg"},
                 {"यह एक घर है", "hi"},
                 {"हे एक घर आहे आणि", "mr"},
                 {"این برای آن است", "fa"},
                 {"한국어", "ko"},
                 {"ಕನ್ನಡ", "kn"},
                 {"日本語です", "ja"},
                 {"中文", "zh"},
                 {"vực điểm", "vi"},
                 {"", NULL},
                 {"\xff\xfe 12", NULL},
                 {"xyzzy plugh", NULL}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *found = text_language(str_of(texts[i].text));
        if (!found != !texts[i].code || (found && strcmp(found, texts[i].code) != 0))
            fail_msg("'%s' is %s, not %s", texts[i].text, found ? found : "none",
                     texts[i].code ? texts[i].code : "none");
    }
}

static bool number_is(struct str found, const char *gold)
{
    return number_equal(found, str_of(gold));
}

static void numbers(void **state)
{
    struct str a = str_of("He pays 5*2=10.\nSo $1,234.50 it is.\n#### 1,234.\nQuestion 7");
    assert_true(number_is(number_strict(a), "why\n#### 1234"));
    assert_false(number_is(number_flexible(a), "1234"));
    assert_true(number_is(number_flexible(a), "#### 7"));
    assert_true(number_is(number_flexible(str_of("it costs $18.")), "18"));
    assert_true(number_is(number_flexible(str_of("-3")), "#### -3"));
    assert_int_equal(number_strict(str_of("18")).n, 0);
    assert_int_equal(number_flexible(str_of("none")).n, 0);
    assert_false(number_is(number_flexible(str_of("none")), ""));
}

static void matches_do_not_overlap(void **state)
{
    struct match m;
    assert_int_equal(match_count("aa", 0, "aaaaa", 5), 2);
    assert_int_equal(match_count("x*", 0, "a\u00e9", 3), 3);
    assert_int_equal(match_count(".", 0, "a\r\n", 3), 2);
    assert_int_equal(match_count("^.*$", MATCH_LINES, "a\nb", 3), 2);
    assert_true(match_last("(b)|(c+)", 0, "abcc", 4, &m) && m.n == 2 && m.n_whole == 2);
    assert_false(match_first("z", 0, "", 0, &m));
    assert_int_equal(match_count("a", 0, "a\xff", 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instructions), cmocka_unit_test(all_kinds_are_tested),
        cmocka_unit_test(wrong_rules),  cmocka_unit_test(languages),
        cmocka_unit_test(numbers),      cmocka_unit_test(matches_do_not_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
