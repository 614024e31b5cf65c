"""Search: studies, samplers and backends; the only place that knows Ray and Optuna."""
