-- What rules refused, or would have refused, by time: few rows of the ledger.

create index receipt_ruled on receipt (company_no, at_ms) where rule is not null;
