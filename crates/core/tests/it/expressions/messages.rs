use serde_json::json;
use spine_core::expression::{Expression, Template};

fn check(source: &str, column: Option<usize>, parts: &str) {
    let error = Expression::compile(source).err().unwrap_or_else(|| panic!("{source} should be refused"));
    for part in parts.split('|') {
        assert!(error.message.contains(part), "{source}: {:?} should contain {part:?}", error.message);
    }
    assert_eq!(error.column, column, "{source}: {}", error.message);
    let words = ["viable", "extraneous", "mismatched", "expecting", "token recognition", "<EOF>"];
    assert!(!words.iter().any(|word| error.message.contains(word)), "{source}: {}", error.message);
}

#[test]
fn mistakes_are_told_in_plain_words() {
    for (source, column, parts) in [
        ("  ", None, "is empty"),
        ("(1 + 2", Some(1), "`(` is never closed"),
        ("size(event.data", Some(5), "`(` is never closed"),
        ("[1, 2", Some(1), "`[` is never closed"),
        ("1 + 2)", Some(6), "`)` closes nothing"),
        ("(1 + 2]", Some(7), "`]` can't close the `(` at column 1"),
        ("event.type == 'a", Some(15), "no closing '"),
        ("event.type == \"ä", Some(15), "no closing \""),
        ("event.type = 'a'", Some(12), "write `==`"),
        ("event.type === 'a'", Some(12), "write `==`"),
        ("event.type !== 'a'", Some(12), "write `!=`"),
        ("event.type <> 'a'", Some(12), "write `!=`"),
        ("1 => 2", Some(3), "write `>=`"),
        ("1 =< 2", Some(3), "write `<=`"),
        ("a and b", Some(3), "write `&&`"),
        ("a OR b", Some(3), "write `||`"),
        ("not a", Some(1), "write `!`"),
        ("a && not b", Some(6), "write `!`"),
        ("a not in b", Some(3), "!(a in b)"),
        ("a is null", Some(3), "write `==`"),
        ("a & b", Some(3), "write `&&`"),
        ("a | b", Some(3), "write `||`"),
        ("1 +", Some(3), "ends after `+`; a value is missing"),
        ("'größe' >", Some(9), "ends after `>`"),
        ("event.data.größe > 1", Some(14), "`ö` can't stand in a name"),
        ("a &&", Some(3), "ends after `&&`"),
        ("!", Some(1), "ends after `!`"),
        ("event.data.", Some(11), "name of a field is missing"),
        ("event.data.(a)", Some(12), "name of a field is missing between `.` and `(`"),
        ("* 2", Some(1), "a value is missing before `*`"),
        ("1 + * 2", Some(5), "a value is missing between `+` and `*`"),
        ("(1 +)", Some(5), "a value is missing between `+` and `)`"),
        ("${ event.data.total } > 1", Some(1), "leave it out"),
        ("1 + ${ a }", Some(5), "leave it out"),
        ("$a", Some(1), "by its name alone"),
        ("a; b", Some(2), "no `;`"),
        ("a # b", Some(3), "`#` has no meaning"),
        ("a == “b”", Some(6), "is no quote"),
        ("a ^ b", Some(3), "`^` has no meaning"),
        ("2 ** 3", Some(3), "multiply with `*`"),
        ("if a", Some(1), "condition ? a : b"),
        ("a ? b", Some(3), "has no `:`"),
        ("(a ? b)", Some(7), "the `?` at column 4 has no `:`"),
        ("a : b", Some(3), "needs a `?`"),
        ("for x in y", Some(1), "reserved word"),
        ("let x = 1", Some(1), "no variables of its own"),
        ("while", Some(1), "reserved word"),
        ("a b", Some(3), "an operator is missing before `b`"),
        ("event.data.total 5", Some(18), "an operator is missing before `5`"),
        ("a\n  && b c", Some(10), "an operator is missing before `c`"),
        ("'größe' == x\n && has(a)", Some(22), "has() takes a field"),
        ("has(a)", Some(5), "has() takes a field"),
        ("[1].exists(1, true)", Some(12), "is a name for the item"),
        ("99999999999999999999", Some(1), "2^63"),
        ("a.matches(b)", Some(10), "written as a literal"),
        ("a.matches('(')", Some(11), "not a valid regular expression|unclosed group"),
        ("a.matches('(?<=x)y')", Some(11), "not a valid regular expression|look-around"),
        ("a.matches('x{99999}')", Some(11), "too large"),
        ("a.matches('(\\\\w{99}){99}')", Some(11), "too large"),
        ("secret(a)", Some(7), "a name written as a literal"),
        ("x.secret('a')", Some(9), "a name written as a literal"),
        ("secret('a', 'b')", Some(7), "a name written as a literal"),
        ("Foo{a: 1}", Some(4), "write a map"),
    ] {
        check(source, column, parts);
    }
}

#[test]
fn columns_in_a_template_count_from_its_start() {
    let column = |text: &str| Template::compile(&json!(text)).unwrap_err()[0].1.column;
    assert_eq!(column("größe ${ a = 1 }"), Some(12));
    let template = Template::compile(&json!("größe ${ event.type - 1 }")).unwrap();
    assert_eq!(template.check_types(&super::env())[0].column, Some(21));
}

#[test]
fn what_an_expression_reads_is_known() {
    for (source, tasks, contexts, nameless) in [
        ("tasks.a.output == context.b", "a", "b", ""),
        ("tasks['a'].output == context['b c']", "a", "b c", ""),
        ("tasks.?a.?output.orValue(1) == context[?'b'].orValue(2)", "a", "b", ""),
        ("has(tasks.a) || has(context.b.c)", "a", "b", ""),
        ("tasks[event.type].output", "", "", "tasks"),
        ("context.exists(k, k == 'a')", "", "", "context"),
        ("[{'x': 1}].exists(tasks, tasks.x == 1)", "", "", ""),
        ("event.tasks.a == 1", "", "", ""),
    ] {
        let expression = Expression::compile(source).unwrap();
        let names = |set: &std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(names(expression.task_references()), tasks, "{source}");
        assert_eq!(names(expression.context_references()), contexts, "{source}");
        assert_eq!(names(expression.nameless_references()), nameless, "{source}");
    }
}

#[test]
fn failures_tell_names_and_types_and_no_values() {
    for (source, part) in [
        ("event.data.nothing", "there is no `nothing`"),
        ("event.data.total + 'x'", "`+` can't take an int and a text"),
        ("event.data.total + event.data", "`+` can't take an int and a map"),
        ("event.data.total - event.data", "`-` can't take an int and null, a list or a map"),
        ("event.data - event.data.total", "`-` can't take null, a list or a map and an int"),
        ("event.data.total / 0", "division by zero"),
        ("event.data.total % 0", "division by zero"),
        ("9223372036854775807 + event.data.total", "2^63"),
        ("event.data.ids[7]", "no item at that index"),
        ("event.data.ids['a']", "can't be indexed"),
        ("event.data.total.x", "has no fields"),
        ("event.data.note && true", "`&&` can't take"),
        ("int(event.data.note)", "int() can't convert"),
        ("event.data.items > 1", "`>` can't take a list and an int"),
        ("event.data.items.map(i, i.nothing)", "there is no `nothing`"),
        ("event.data.?x", "may be absent"),
        ("event.data.total in event.data.total", "`in` can't take"),
    ] {
        let error = Expression::compile(source)
            .unwrap()
            .evaluate(&super::scope())
            .err()
            .unwrap_or_else(|| panic!("{source} should be refused"));
        assert!(error.message.contains(part), "{source}: {:?} should contain {part:?}", error.message);
        assert!(!error.message.contains("größer") && !error.message.contains("620"), "{source}: {}", error.message);
    }
}
