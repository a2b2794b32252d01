"""TLC's files of any year become events in the current format."""

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from taxi_generator import GeneratorError
from taxi_generator.events import BATCH_ROWS, COLUMNS, CONTRACT, NUMBER, arrow_type, encode
from taxi_generator.files import TripFile

NAN = float("nan")


def parquet(path: Path, **columns) -> Path:
    pa.parquet.write_table(pa.table(columns), path)
    return path


def csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def events(file: TripFile, limit: int | None = None) -> list[dict]:
    return [json.loads(value) for batch in file.batches(limit) for value in encode(batch)[1]]


def of_2024(rows: int, **changes) -> dict:
    columns = {name: pa.nulls(rows, arrow_type(kind)) for name, kind in COLUMNS.items()}
    return columns | changes


def test_the_real_file(real_file):
    file = TripFile(real_file)
    sent = events(file)
    assert (len(sent), file.missing, file.extra, file.unknown_codes) == (10_000, [], [], {})
    assert sent[0] == {
        "VendorID": 2, "tpep_pickup_datetime": "2024-01-01T00:57:55", "tpep_dropoff_datetime": "2024-01-01T01:17:43",
        "passenger_count": 1, "trip_distance": 1.72, "RatecodeID": 1, "store_and_fwd_flag": "N", "PULocationID": 186,
        "DOLocationID": 79, "payment_type": 2, "fare_amount": 17.7, "extra": 1.0, "mta_tax": 0.5, "tip_amount": 0.0,
        "tolls_amount": 0.0, "improvement_surcharge": 1.0, "total_amount": 22.7, "congestion_surcharge": 2.5,
        "Airport_fee": 0.0,
    }  # fmt: skip
    assert isinstance(sent[0]["passenger_count"], int)


def test_2009(tmp_path):
    """Text instead of codes, timestamps as text, coordinates instead of zones."""
    file = TripFile(parquet(
        tmp_path / "2009.parquet",
        vendor_name=["VTS", "CMT", "DDS"], Trip_Pickup_DateTime=["2009-01-04 02:52:00"] * 3,
        Trip_Dropoff_DateTime=["2009-01-04 03:02:00"] * 3, Passenger_Count=[1, 2, 3], Trip_Distance=[2.63, 1.0, 0.5],
        Start_Lon=[-73.99, -73.98, -73.97], Start_Lat=[40.72, 40.73, 40.74], Rate_Code=[NAN, 1.0, None],
        store_and_forward=[NAN, 1.0, 0.0], End_Lon=[-73.9] * 3, End_Lat=[40.7] * 3,
        Payment_Type=["CASH", "Credit", "No Charge"], Fare_Amt=[8.9, 4.5, 3.0], surcharge=[0.5, 0.0, 1.0],
        mta_tax=[None, 0.5, NAN], Tip_Amt=[0.0, 1.5, 0.0], Tolls_Amt=[0.0, 4.57, 0.0], Total_Amt=[9.4, 11.07, 4.0],
    ))  # fmt: skip
    sent = events(file)
    absent = ["PULocationID", "DOLocationID", "improvement_surcharge", "congestion_surcharge", "Airport_fee"]
    assert file.missing == absent
    assert file.extra == ["Start_Lon", "Start_Lat", "End_Lon", "End_Lat"]
    assert file.unknown_codes == {"VendorID": {"DDS"}}
    assert sent[0] == dict.fromkeys(absent) | {
        "VendorID": 2, "tpep_pickup_datetime": "2009-01-04T02:52:00", "tpep_dropoff_datetime": "2009-01-04T03:02:00",
        "passenger_count": 1, "trip_distance": 2.63, "RatecodeID": None, "store_and_fwd_flag": None,
        "payment_type": 2, "fare_amount": 8.9, "extra": 0.5, "mta_tax": None, "tip_amount": 0.0, "tolls_amount": 0.0,
        "total_amount": 9.4, "Start_Lon": -73.99, "Start_Lat": 40.72, "End_Lon": -73.9, "End_Lat": 40.7,
    }  # fmt: skip
    assert [event["VendorID"] for event in sent] == [2, 1, None]
    assert [event["payment_type"] for event in sent] == [2, 1, 3]
    assert [event["store_and_fwd_flag"] for event in sent] == [None, "Y", "N"]
    assert [event["RatecodeID"] for event in sent] == [None, 1, None]


def test_2010_csv(tmp_path):
    file = TripFile(csv(
        tmp_path / "2010.csv",
        "vendor_id,pickup_datetime,dropoff_datetime,passenger_count,trip_distance,pickup_longitude,pickup_latitude,"
        "rate_code,store_and_fwd_flag,dropoff_longitude,dropoff_latitude,payment_type,fare_amount,surcharge,mta_tax,"
        "tip_amount,tolls_amount,total_amount",
        "",
        "CMT,2010-03-22 17:05:03,2010-03-22 17:22:51,1,1.5,-73.97,40.75,1,0,-73.99,40.76,Cre,9.3,1,0.5,2.1,0,12.9",
        "VTS,2010-03-22 17:05:03.000000,2010-03-22 17:22:51,1,1.5,,,1,,-73.99,40.76,XYZ,9.3,1,0.5,2.1,0,12.9",
    ))  # fmt: skip
    first, second = events(file)
    assert (first["VendorID"], first["payment_type"], first["store_and_fwd_flag"]) == (1, 1, "N")
    assert (first["extra"], first["pickup_longitude"]) == (1.0, -73.97)
    assert (second["pickup_longitude"], second["payment_type"], second["store_and_fwd_flag"]) == (
        None,
        None,
        None,
    )
    assert second["tpep_pickup_datetime"] == "2010-03-22T17:05:03"
    assert file.unknown_codes == {"payment_type": {"XYZ"}}


def test_2014_csv_with_blanks_in_its_header(tmp_path):
    file = TripFile(csv(
        tmp_path / "2014.csv",
        "vendor_id, pickup_datetime, dropoff_datetime, passenger_count, trip_distance, rate_code, payment_type,"
        " fare_amount, surcharge, total_amount",
        "CMT,2014-01-09 20:45:25,2014-01-09 20:52:31,1,0.7,1,CRD,6.5,0.5,8.4",
    ))  # fmt: skip
    (event,) = events(file)
    assert file.extra == []
    assert (event["VendorID"], event["payment_type"], event["fare_amount"], event["extra"]) == (
        1,
        1,
        6.5,
        0.5,
    )


def test_2025_includes_its_new_column(tmp_path):
    rows = of_2024(2, fare_amount=[1.0, 2.0]) | {"cbd_congestion_fee": [0.75, 0.0]}
    rows["airport_fee"] = rows.pop("Airport_fee")
    file = TripFile(parquet(tmp_path / "2025.parquet", **rows))
    assert [event["cbd_congestion_fee"] for event in events(file)] == [0.75, 0.0]
    assert (file.missing, file.extra) == ([], ["cbd_congestion_fee"])

    lines = csv(tmp_path / "2025.csv", "cbd_congestion_fee," + ",".join(COLUMNS), "0.75" + "," * 19)
    assert events(TripFile(lines))[0]["cbd_congestion_fee"] == 0.75


def test_a_column_with_the_current_name_has_precedence(tmp_path):
    rows = of_2024(1, extra=[2.5]) | {"surcharge": [9.0]}
    file = TripFile(parquet(tmp_path / "both.parquet", **rows))
    (event,) = events(file)
    assert (event["extra"], event["surcharge"], file.extra) == (2.5, 9.0, ["surcharge"])


def test_silvers_own_names_are_known(tmp_path):
    """As in some public exports, and in exports of a table's rows."""
    rows = {field.column: of_2024(1)[field.name] for field in CONTRACT.fields}
    rows |= {"processed_at": pa.array([datetime(2024, 1, 1)], pa.timestamp("us", "UTC"))}
    rows |= {"vendor_id": [1], "rate_code_id": [2], "pickup_location_id": [161], "dropoff_location_id": [236]}
    file = TripFile(parquet(tmp_path / "silver.parquet", **rows))
    assert (file.missing, file.extra) == ([], ["processed_at"])
    (event,) = events(file)
    assert event["processed_at"] == "2024-01-01T00:00:00"
    assert [event[name] for name in ("VendorID", "RatecodeID", "PULocationID", "DOLocationID")] == [1, 2, 161, 236]


@pytest.mark.parametrize("other", ["airport_fee", "Airport_fee"])
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_columns_with_the_same_name_complement_each_other(tmp_path, kind, other):
    def file(*values) -> TripFile:
        columns = [*of_2024(3, Airport_fee=[1.25, None, None]).items(), (other, pa.array(values, pa.float64()))]
        path = tmp_path / f"twice.{kind}"
        if kind == "parquet":
            pa.parquet.write_table(
                pa.Table.from_arrays([pa.array(v) for _, v in columns], [n for n, _ in columns]), path
            )
            return TripFile(path)
        rows = zip(
            *(["" if v is None else str(v) for v in pa.array(values).to_pylist()] for _, values in columns), strict=True
        )
        return TripFile(csv(path, ",".join(name for name, _ in columns), *map(",".join, rows)))

    complement = file(1.25, 1.75, None)
    assert [event["Airport_fee"] for event in events(complement)] == [1.25, 1.75, None]
    assert (complement.missing, complement.extra) == ([], [])
    with pytest.raises(
        GeneratorError, match=r"has the column Airport_fee 2 times, with different values in row 1\. Next: "
    ):
        events(file(0.0, 1.75, None))


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_trips_time_with_a_zone_is_refused(tmp_path, zone):
    at = pa.array([datetime(2024, 1, 11, 14)], pa.timestamp("us", zone))
    path = parquet(tmp_path / "zone.parquet", **of_2024(1, tpep_dropoff_datetime=at))
    with pytest.raises(GeneratorError, match=rf"times with a zone \({zone}\) as tpep_dropoff_datetime.*Next: "):
        events(TripFile(path))
    lines = ["tpep_pickup_datetime,tpep_dropoff_datetime,trip_distance,fare_amount", "2024-01-11T14:00:00Z,,1,2"]
    with pytest.raises(GeneratorError, match="zone offset"):
        events(TripFile(csv(tmp_path / "zone.csv", *lines)))


@pytest.mark.parametrize("name", ["none.parquet", "none.csv"])
def test_a_file_without_rows_is_refused(tmp_path, name):
    path = tmp_path / name
    parquet(path, **of_2024(0)) if name.endswith("parquet") else csv(path, ",".join(COLUMNS))
    with pytest.raises(GeneratorError, match=r"has no trips\. Next: "):
        events(TripFile(path))


def test_nan_infinity_and_null_are_null(tmp_path):
    rows = of_2024(3, passenger_count=[1.0, NAN, None], tip_amount=[float("inf"), NAN, 1.5])
    sent = events(TripFile(parquet(tmp_path / "nan.parquet", **rows)))
    assert [event["passenger_count"] for event in sent] == [1, None, None]
    assert [event["tip_amount"] for event in sent] == [None, None, 1.5]


def test_timestamps_of_any_unit_only_lose_their_fractions(tmp_path):
    at = datetime(2024, 1, 1, 12, 34, 56, 999_999)
    rows = of_2024(1, tpep_pickup_datetime=pa.array([at], pa.timestamp("ns")))
    rows["tpep_dropoff_datetime"] = pa.array([at], pa.timestamp("us"))
    (event,) = events(TripFile(parquet(tmp_path / "ns.parquet", **rows)))
    assert event["tpep_pickup_datetime"] == event["tpep_dropoff_datetime"] == "2024-01-01T12:34:56"


def test_reading_ends_at_the_limit(tmp_path):
    rows = of_2024(2 * BATCH_ROWS, fare_amount=pa.array(range(2 * BATCH_ROWS), pa.float64()))
    path = parquet(tmp_path / "long.parquet", **rows)
    fares = [event["fare_amount"] for event in events(TripFile(path), BATCH_ROWS + 1)]
    assert fares == [float(i) for i in range(BATCH_ROWS + 1)]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_memory_does_not_grow_with_the_file(tmp_path, kind):
    def peak(rows: int) -> int:
        path = tmp_path / f"{rows}.{kind}"
        number = pa.array(np.random.default_rng(1).random(rows))
        table = pa.table(of_2024(rows) | {name: number for name, of in COLUMNS.items() if of == NUMBER})
        pa.parquet.write_table(table, path) if kind == "parquet" else pa.csv.write_csv(table, path)
        del table, number
        before = pa.total_allocated_bytes()
        used = [pa.total_allocated_bytes() - before for _ in TripFile(path).batches()]
        assert len(used) >= rows / BATCH_ROWS
        return max(used)

    assert peak(900_000) < 1.5 * peak(300_000)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (
            ["lpep_pickup_datetime,lpep_dropoff_datetime,trip_distance,fare_amount", "a,b,1,2"],
            "tpep_pickup_datetime",
        ),
        ([",".join(COLUMNS), ",".join(["x"] * 19)], "column tpep_pickup_datetime, rows 1 to 1"),
        (
            [",".join(COLUMNS), ",".join(["1"] * 20)],
            "cannot be read as CSV: CSV parse error: Expected 19 columns, got 20",
        ),
        ([",".join(COLUMNS), "1,yesterday" + "," * 17], "yesterday"),
        ([",".join(COLUMNS), "1,,,1.5" + "," * 15], "passenger_count"),
    ],
)
def test_errors_in_a_file_are_reported(tmp_path, lines, problem):
    path = csv(tmp_path / "bad.csv", *lines)
    with pytest.raises(GeneratorError) as error:
        events(TripFile(path))
    assert str(path) in str(error.value)
    assert problem in str(error.value)
    assert "Next: " in str(error.value)


def test_errors_in_later_rows_are_reported(tmp_path):
    row = "2024-01-01 00:00:00,2024-01-01 00:10:00,1.0,5.0"
    head = "tpep_pickup_datetime,tpep_dropoff_datetime,trip_distance,fare_amount"
    wide = csv(tmp_path / "wide.csv", head, *[row] * 40_000, row + ",more")
    cut = parquet(tmp_path / "cut.parquet", **of_2024(50_000, fare_amount=np.random.default_rng(1).random(50_000)))
    with cut.open("r+b") as file:
        file.seek(cut.stat().st_size // 2)
        file.write(b"\xff" * 50_000)
    for path in (wide, cut):
        with pytest.raises(GeneratorError, match=r"cannot be read after row [0-9,]+: .*Next: ") as error:
            events(TripFile(path))
        assert str(path) in str(error.value)


def test_unreadable_paths(tmp_path):
    (tmp_path / "noise").write_bytes(b"\x00\xff\xfe" * 1_000)
    (tmp_path / "cut.parquet").write_bytes(b"PAR1" + b"\x00" * 100)
    (tmp_path / "empty.csv").touch()
    for name in ("nowhere.csv", ".", "noise", "cut.parquet", "empty.csv"):
        with pytest.raises(GeneratorError) as error:
            TripFile(tmp_path / name)
        assert str(tmp_path / name) in str(error.value)
        assert "Next: " in str(error.value)
