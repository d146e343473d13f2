//! What an expression is made of: refused where it names what is not there, or could take long.

use std::collections::BTreeSet;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};

/// Deepest nesting. Evaluation goes down as far, on the stack of whoever asks.
pub(super) const DEPTH_MAX: u16 = 24;

/// Most parts of an expression.
pub(super) const NODES_MAX: usize = 256;

/// The values, with their members. `model` stands for itself.
pub(super) const VALUES: [(&str, &[&str]); 5] = [
    (
        "request",
        &[
            "model",
            "models",
            "tokens",
            "output_tokens_max",
            "stream",
            "tools",
            "images",
            "json_schema",
            "reasoning",
            "dialect",
            "app",
            "client",
        ],
    ),
    ("tenant", &["name", "groups", "key"]),
    ("model", &[]),
    ("time", &["hour", "minute", "weekday", "unix"]),
    ("telemetry", &["gpu_pressure", "queue_waiting", "local_healthy"]),
];

/// Functions besides the operators.
const FUNCTIONS: [&str; 8] = ["size", "contains", "startsWith", "endsWith", "int", "uint", "double", "string"];

/// What a look finds.
#[derive(Default)]
pub(super) struct Look {
    /// The values that are used, as name and member; the member of `model` is empty.
    pub(super) used: BTreeSet<(&'static str, &'static str)>,
    nodes: usize,
    /// Names that macros give to elements of lists.
    own: Vec<String>,
}

impl Look {
    /// Looks at one part and all that it is made of.
    ///
    /// # Errors
    /// What is wrong, as a clause.
    pub(super) fn at(&mut self, expr: &IdedExpr, depth: u16) -> Result<(), String> {
        self.nodes += 1;
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            return Err(format!(
                "is nested deeper than {DEPTH_MAX}, or has more than {NODES_MAX} parts; write two policies"
            ));
        }
        let depth = depth + 1;
        match &expr.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => {
                let own = |name: &String| self.own.contains(name);
                if let Expr::Ident(name) = &select.operand.expr
                    && !own(name)
                {
                    return self.member(name, &select.field);
                }
                self.at(&select.operand, depth)
            }
            Expr::Call(call) => {
                let is_word = call.func_name.starts_with(|first: char| first.is_ascii_alphabetic());
                if is_word && !FUNCTIONS.contains(&call.func_name.as_str()) {
                    return Err(format!("there is no function {}; there are {}", call.func_name, FUNCTIONS.join(", ")));
                }
                call.target.iter().map(AsRef::as_ref).chain(&call.args).try_for_each(|part| self.at(part, depth))
            }
            Expr::List(list) => list.elements.iter().try_for_each(|part| self.at(part, depth)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => self.at(&entry.key, depth).and_then(|()| self.at(&entry.value, depth)),
                EntryExpr::StructField(_) => Err("holds a member of a type that is not there".to_owned()),
            }),
            Expr::Comprehension(looped) => {
                if !self.own.is_empty() || !matches!(looped.iter_range.expr, Expr::List(_) | Expr::Select(_)) {
                    return Err("goes through lists of lists: one macro may go through one list".to_owned());
                }
                self.at(&looped.iter_range, depth)?;
                self.own = looped.iter_var2.iter().cloned().collect();
                self.own.extend([looped.iter_var.clone(), looped.accu_var.clone()]);
                let parts = [&looped.accu_init, &looped.loop_cond, &looped.loop_step, &looped.result];
                let looked = parts.into_iter().try_for_each(|part| self.at(part, depth));
                self.own.clear();
                looked
            }
            Expr::Struct(_) | Expr::Unspecified => Err("holds something that conditions do not know".to_owned()),
        }
    }

    fn ident(&mut self, name: &str) -> Result<(), String> {
        if self.own.iter().any(|own| own == name) {
            return Ok(());
        }
        match VALUES.iter().find(|(known, _)| *known == name) {
            Some((known, [])) => {
                self.used.insert((known, ""));
                Ok(())
            }
            Some((known, members)) => Err(format!("{known} is no value by itself; it has {}", members.join(", "))),
            None => Err(format!("there is no {name}; there are {}", VALUES.map(|(known, _)| known).join(", "))),
        }
    }

    fn member(&mut self, name: &str, field: &str) -> Result<(), String> {
        let Some((known, members)) = VALUES.iter().find(|(known, _)| *known == name) else { return self.ident(name) };
        match members.iter().find(|member| **member == field) {
            Some(member) => {
                self.used.insert((known, member));
                Ok(())
            }
            None if members.is_empty() => Err(format!("{known} is a text and has no member {field}")),
            None => Err(format!("{known} has no member {field}; it has {}", members.join(", "))),
        }
    }
}
