#include "sandbox/select_scan.h"
#include "sandbox/store.h"
#include "sandbox/subscription_log.h"

namespace penstock::sandbox {

Answer run_delete(SessionContext& context, Cursor& in) {
  in.expect("from");
  Select select;
  select.has_from = true;
  select.from = parse_table_name(in);
  if (in.accept("where")) select.where = parse_condition(in, nullptr);
  in.finish();
  auto source = open_source(context, select, {});
  if (!source.stored) refuse(0x2600, "DELETE from a system table is not supported by the sandbox");
  EvalContext eval;
  eval.session = &context;
  eval.precision = source.precision;
  eval.now = now_in(source.precision);
  if (select.where) {
    Binder(context, source, {}).bind(*select.where, Binder::Aggregates::refused);
    if (select.where->kind == Expr::Kind::column) refuse(0x070F, "invalid input");
  }
  const auto split = split_condition(source, select.where.get(), eval);
  if (!split.of_row.empty()) refuse(0x2655, "The DELETE statement must only have a definite time window range");
  std::vector<Child*> children;
  Expr all;
  all.kind = Expr::Kind::literal;
  all.value = Datum::of_bool(true);
  scan_children(source, &all, eval, [&](std::span<const Datum> row) {
    eval.row = row;
    for (const auto* const part : split.of_child) {
      if (!is_true(evaluate(*part, eval))) return true;
    }
    children.push_back(source.current);
    return true;
  });
  Answer answer;
  auto& db = **source.database;
  if (!db.store->keeps_rows()) unsupported("DELETE with --discard");
  Store::Transaction transaction(*db.store);
  std::vector<std::int64_t> erased;
  for (const auto* const child : children) {
    erased.push_back(split.first > split.last ? 0 : db.store->erase_rows(child->id, split.first, split.last));
    answer.affected_rows += erased.back();
  }
  transaction.commit();
  for (std::size_t i = 0; i < children.size(); ++i) children[i]->rows -= erased[i];
  if (split.first <= split.last) {
    const std::vector<const Child*> touched(children.begin(), children.end());
    log_erased(db, *source.table, select.from.table, touched, split.first, split.last);
  }
  return answer;
}

}  // namespace penstock::sandbox
