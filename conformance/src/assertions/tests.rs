//! What Python says, said here.

use super::*;

const AT: Position = Position { line: 5, column: 3 };

fn code(text: &str) -> Code {
    Code { at: AT, text: text.to_owned() }
}

fn ready() -> Assertions {
    let mut assertions = Assertions::new();
    assertions.set("tcpi_snd_cwnd", 10);
    assertions.set("tcpi_rtt", 20_000);
    assertions.set("tcpi_options", 0x21);
    assertions
}

fn run(text: &str) -> Result<(), Failure> {
    ready().run(&code(text))
}

/// Holds for an expression that is true.
fn holds(expression: &str) {
    if let Err(failure) = run(&format!("assert {expression}")) {
        panic!("{expression}: {failure:?}");
    }
}

fn failed(text: &str) -> String {
    match run(text) {
        Err(Failure::Failed { message, .. }) => message,
        other => panic!("{text}: {other:?}"),
    }
}

fn foreign_in(text: &str) -> String {
    match run(text) {
        Err(Failure::Foreign { what, .. }) => what,
        other => panic!("{text}: {other:?}"),
    }
}

/// What `print` prints of the expression.
fn printed(expression: &str) -> String {
    let mut assertions = ready();
    assertions.run(&code(&format!("print({expression})"))).unwrap();
    assertions.take_printed().trim_end().to_owned()
}

#[test]
fn comparisons_chain_and_operators_bind_as_in_python() {
    holds("tcpi_snd_cwnd == 10");
    holds("19000 <= tcpi_rtt <= 21000");
    holds("not 1 > 2 and 2 != 3 or False");
    holds("(tcpi_options & TCPI_OPT_SYN_DATA) != 0");
    holds("TCP_CA_Recovery == 3 and TCP_CLOSE_WAIT == 8");
    holds("1 + 2 * 3 ** 2 == 19");
    holds("-2 ** 2 == -4 and -7 // 2 == -4 and -7 % 3 == 2 and 7 % -3 == -2");
    holds("1 | 6 ^ 2 & 3 == 5 and 1 << 2 >> 1 == 2");
    holds("~0 == -1 and 0x10 == 16 and 1_000 == 1000 and 0b11 == 0o3");
    holds("-7.5 % 2 == 0.5 and 7.5 % -2 == -0.5 and 0.0 % -1 == 0");
    holds("7 / 2 == 3.5 and 1e3 == 1000 and 2.0 == 2");
    holds("3 in (1, 2, 3) and 4 not in [1, 2] and 'b' in 'abc'");
    holds("None is None and 1 is not None");
    holds("(5 if tcpi_snd_cwnd > 9 else 6) == 5");
    holds("max(1, 3, 2) + min([4, 5]) + abs(-2) + int(2.9) + len('ab') + sum((1, 2)) + round(2.5) == 18");
    holds("'a' < 'b' and (1, 2) == (1, 2) and True == 1 and 'a' != 1");
}

#[test]
fn assertions_fail_with_their_message() {
    assert_eq!(failed("assert tcpi_snd_cwnd == 9, tcpi_snd_cwnd"), "AssertionError: 10");
    assert_eq!(failed("assert False"), "AssertionError");
    assert_eq!(
        failed("assert 0, 'cwnd=%d rtt=%s' % (tcpi_snd_cwnd, tcpi_rtt)"),
        "AssertionError: cwnd=10 rtt=20000"
    );
    assert_eq!(failed("assert tcpi_rwnd == 9"), "NameError: name 'tcpi_rwnd' is not defined");
    assert_eq!(failed("1 // 0"), "ZeroDivisionError: division by zero");
    assert_eq!(failed("1 + None"), "TypeError: unsupported operand type(s) for +: 'int' and 'NoneType'");
    assert_eq!(failed("1 < 'a'"), "TypeError: '<' not supported between instances of 'int' and 'str'");
    assert_eq!(failed("1 << -1"), "ValueError: negative shift count");
    assert_eq!(failed("-'a'"), "TypeError: bad operand type for unary -: 'str'");
}

#[test]
fn statements_stand_on_lines_or_behind_semicolons() {
    run("\nassert tcpi_snd_cwnd == 10, tcpi_snd_cwnd  # why\n\n# more\nassert (1,\n  2) == (1, 2)\n")
        .unwrap();
    run(" assert 1 == 1, 1; \\\n         assert 2 == 2;\\\n\t assert 3 == 3 ").unwrap();
    run(" assert 1;\\").unwrap();
    run("\n   a = 1\n   assert a\n").unwrap();
    run(" a = b = 3; a += b; a *= 2; a -= 1; a //= 2; a <<= 2; a |= 1; assert a == 21; pass").unwrap();
    let Err(Failure::Failed { at, .. }) = run("\nassert 1\n  \nassert 0") else { panic!() };
    assert_eq!(at, Position { line: 8, column: 1 });
    let Err(Failure::Failed { at, .. }) = run(" assert 1; assert 0") else { panic!() };
    assert_eq!(at, Position { line: 5, column: 16 });
}

#[test]
fn variables_live_on_and_what_is_printed_is_kept() {
    let mut assertions = ready();
    assertions.run(&code("cwnd = 10; print(tcpi_snd_cwnd, 'a', cwnd)")).unwrap();
    assertions.set("tcpi_snd_cwnd", 11);
    assertions.run(&code("cwnd += 1; assert tcpi_snd_cwnd == cwnd")).unwrap();
    assert_eq!(assertions.take_printed(), "10 a 10\n");
    assert_eq!(assertions.take_printed(), "");
    assert!(matches!(assertions.run(&code("cwnd = 5; print(1); f(1)")), Err(Failure::Foreign { .. })));
    assertions.run(&code("assert cwnd == 11")).unwrap();
    assert_eq!(assertions.take_printed(), "");
}

#[test]
fn values_print_as_python_prints_them() {
    assert_eq!(printed("1 / 3"), "0.3333333333333333");
    assert_eq!(printed("2.0, 1e16, 1.5e-7, 1e22, -0.0001"), "2.0 1e+16 1.5e-07 1e+22 -0.0001");
    assert_eq!(printed("True, None, (1,), [1, 'a'], ('it\\'s', 2)"), "True None (1,) [1, 'a'] (\"it's\", 2)");
    assert_eq!(
        printed(
            "'%5d|%-5d|%05d|%+d|%x|%#X|%.2f|%5.1f|%s|%r|%%' % (1, 2, -3, 4, 255, 255, 1.005, 2, 'a', 'a')"
        ),
        "    1|2    |-0003|+4|ff|0XFF|1.00|  2.0|a|'a'|%"
    );
    assert_eq!(failed("'%d %d' % 1"), "TypeError: not enough arguments for format string");
    assert_eq!(failed("'%d' % (1, 2)"), "TypeError: not all arguments converted during string formatting");
    assert_eq!(failed("'%d' % 'a'"), "TypeError: %d format: a real number is required, not str");
    assert_eq!(failed("'%x' % 1.5"), "TypeError: %x format: an integer is required, not float");
}

#[test]
fn what_only_python_knows_is_foreign() {
    for text in [
        "import os",
        "for i in (1, 2): pass",
        "if 1: pass",
        "a.b",
        "a[0]",
        "f'{tcpi_rtt}'",
        "lambda: 1",
        "open('x')",
        "print tcpi_rtt",
        "a, b = 1, 2",
        "'''x'''",
        "assert 1 ==",
        "assert (1",
        "010",
        "1 <> 2",
        "[i for i in (1, 2)]",
        "{}",
        "a = 1\n  b = 2\nc = 3",
        "2 ** 200",
        "1 << 200",
        "'a' * 3",
        "3 * 'a'",
        "10 ** 1e20",
        "'%e' % 1.5",
        "$",
        "yield",
        "'a' 'b'",
        "1 if 2",
        "print('a', end='')",
    ] {
        foreign_in(text);
    }
    for operator in ["+", " and ", " or "] {
        assert!(foreign_in(&format!("1{}", format!("{operator}1").repeat(100_000))).contains("operators"));
    }
    assert!(foreign_in(&("-".repeat(10_000) + "1")).contains("deep"));
    assert!(foreign_in(&("(".repeat(10_000) + "1")).contains("deep"));
}

#[test]
fn the_program_for_python_has_constants_variables_and_all_blocks() {
    let block =
        |value, text: &str| Block { variables: vec![("tcpi_rtt".to_owned(), value)], code: code(text) };
    let blocks = [block(5, "\n    a = 1\n    if a:\n        pass\n"), block(6, " assert a == 1; \\")];
    let program = python_program("it's.pkt", &blocks);
    assert!(program.contains("TCP_CA_Loss = 4\n"));
    assert!(
        program.contains("_at = 'it\\U00000027s.pkt:5'\ntcpi_rtt = 5\na = 1\nif a:\n    pass\n"),
        "{program}"
    );
    assert!(program.ends_with("tcpi_rtt = 6\nassert a == 1;\n"), "{program}");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[a-c0-9x.'\"%+*/<>=!&|^~(),;:#\\[\\]\\\\ \n-]{0,50}") {
        let _ = run(&text);
    }

    #[test]
    fn words_in_any_order_do_not_panic(words in proptest::collection::vec(
        proptest::sample::select(vec![
            "assert", "not", "and", "or", "if", "else", "in", "is", "(", ")", ",", "==", "<", "-", "**", "%", "//", "<<",
            "1", "0", "99999999999999999999999999999999999999", "1.5", "'%d'", "'%9d%s'", "a", "=", "+=", "min(", "print(",
            "tcpi_rtt", "True", "None", "\n", ";", "abs(", "hex(",
        ]), 0..20,
    )) {
        let _ = run(&words.join(" "));
    }
}
