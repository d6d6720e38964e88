"""TPC-DS query 1: customers who returned goods for more than 1.2 times the average customer of the same store."""

import pandas as pd
from sandloom import split
from tables import customers, dates_of_year, store_returns, stores_in_state

CUSTOMER_AND_STORE = ["sr_customer_sk", "sr_store_sk"]


def total_per_customer_and_store(table):
    # As in SQL: rows without a customer or a store are groups too, and a sum of missing values only is missing.
    return table.groupby(CUSTOMER_AND_STORE, dropna=False, as_index=False)["cents"].sum(min_count=1)


@split
def totals_of_part(returns, dates):
    """Totals of one row range of the returns."""
    in_year = returns[returns["sr_returned_date_sk"].isin(dates["d_date_sk"])]
    print(f"{len(in_year):,} of {len(returns):,} returns are of the year")
    return total_per_customer_and_store(in_year)


@split
def totals(parts):
    """Adds up the totals of the row ranges: a customer may be in several."""
    return total_per_customer_and_store(parts)


@split
def above_average(total, stores):
    """Keys of the customers whose total is above 1.2 times their store's average."""
    per_store = total.groupby("sr_store_sk")["cents"]
    # total > 1.2 * (sum / count) in whole numbers, so that no rounding decides.
    above = 10 * total["cents"] * per_store.transform("count") > 12 * per_store.transform("sum")
    return total.loc[above & total["sr_store_sk"].isin(stores["s_store_sk"]), ["sr_customer_sk"]]


@split
def name_customers(keys, customer, limit):
    """Their ids in order; a customer of two stores may be there twice."""
    named = keys.merge(customer, left_on="sr_customer_sk", right_on="c_customer_sk")
    return named["c_customer_id"].sort_values().head(limit)


def main(event):
    data = event["data"]
    # Four statements that are component calls only: they run side by side.
    returns = store_returns(data)
    dates = dates_of_year(data, event["year"])
    stores = stores_in_state(data, event["state"])
    customer = customers(data)

    parts = pd.concat([totals_of_part(part, dates) for part in split(returns)])
    total = totals(parts)
    keys = above_average(total, stores)
    ids = name_customers(keys, customer, 100)
    print(f"{len(keys):,} customers are above 1.2 times their store's average")
    return {"c_customer_id": ids.tolist()}
