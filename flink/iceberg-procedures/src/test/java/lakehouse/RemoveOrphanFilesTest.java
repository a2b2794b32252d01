package lakehouse;

import static lakehouse.Lakehouse.JAN_5;
import static lakehouse.Lakehouse.append;
import static lakehouse.Lakehouse.onDisk;
import static lakehouse.Lakehouse.rows;
import static lakehouse.Lakehouse.trip;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.apache.flink.table.data.RowData;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DataFiles;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.GenericStatisticsFile;
import org.apache.iceberg.ImmutableGenericPartitionStatisticsFile;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.catalog.SupportsNamespaces;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.flink.sink.FlinkManifestUtil;
import org.apache.iceberg.io.WriteResult;
import org.apache.iceberg.types.Types;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RemoveOrphanFilesTest {
    @TempDir Path folder;
    private Lakehouse lake;
    private Table trips;

    @BeforeEach
    void open() throws Exception {
        lake = new Lakehouse(folder);
        trips = lake.trips();
    }

    @AfterEach
    void close() throws Exception {
        lake.close();
    }

    private Map<String, Object> remove(String arguments) {
        return removeOf("silver.trips", arguments);
    }

    private Map<String, Object> removeOf(String table, String arguments) {
        return lake.call("remove_orphan_files(`table` => '" + table + "'" + arguments + ")");
    }

    private Table tableAt(String name, String location) {
        return lake.catalog.createTable(
                TableIdentifier.parse(name),
                Lakehouse.TRIPS,
                Lakehouse.BY_DAY,
                location,
                Map.of("format-version", "2"));
    }

    private static Path path(String location) {
        return Path.of(location.replaceFirst("^file:/*", "/"));
    }

    /** Creates a file in one of the table's folders that the table does not reference. */
    private Path plant(String name) throws IOException {
        Path file = path(trips.location()).resolve(name);
        Files.createDirectories(file.getParent());
        return Files.writeString(file, "nobody's");
    }

    /** Makes all files four days old. */
    private void age() throws IOException {
        FileTime then = FileTime.from(Instant.now().minus(Duration.ofDays(4)));
        try (Stream<Path> files = Files.walk(path(trips.location()))) {
            for (Path file : files.toList()) {
                Files.setLastModifiedTime(file, then);
            }
        }
    }

    /** Creates every kind of file that a table can reference. */
    private void fullLife() throws Exception {
        DataFile deleted = append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"), trip(3, JAN_5, 1, "b"));
        trips.manageSnapshots().createTag("first", trips.currentSnapshot().snapshotId()).commit();
        trips.newDelete().deleteFile(deleted).commit();
        DeleteFile deletes = Lakehouse.deletesOf(trips, JAN_5, 3);
        trips.newRowDelta().addDeletes(deletes).commit();
        trips.manageSnapshots().createBranch("trial").commit();
        trips.newFastAppend()
                .appendFile(Lakehouse.write(trips, JAN_5, trip(4, JAN_5, 1, "a")))
                .toBranch("trial")
                .commit();
        trips.updateSchema().addColumn("later", Types.StringType.get()).commit();
        String statistics = trips.location() + "/metadata/some.stats";
        Files.writeString(path(statistics), "123");
        long snapshot = trips.currentSnapshot().snapshotId();
        trips.updateStatistics()
                .setStatistics(new GenericStatisticsFile(snapshot, statistics, 3, 3, List.of()))
                .commit();
        String partitions = trips.location() + "/metadata/partitions.parquet";
        Files.writeString(path(partitions), "1234");
        trips.updatePartitionStatistics()
                .setPartitionStatistics(
                        ImmutableGenericPartitionStatisticsFile.builder()
                                .snapshotId(snapshot)
                                .path(partitions)
                                .fileSizeInBytes(4)
                                .build())
                .commit();
    }

    @Test
    void exactlyTheUnreferencedFilesAreMovedToQuarantine() throws Exception {
        fullLife();
        List<String> before = rows(trips);
        List<Path> known = onDisk(trips.location());
        Path data = plant("data/day=2024-01-05/left.parquet");
        Path metadata = plant("metadata/left.avro");
        Path deep = plant("elsewhere/a%20b=c/left");
        age();

        Map<String, Object> planned = remove(", dry_run => true");
        assertThat(planned)
                .containsEntry("orphan_files_count", 3L)
                .containsEntry("orphan_bytes_count", 24L)
                .containsEntry("quarantine", null);
        assertThat(onDisk(trips.location())).hasSize(known.size() + 3);

        Map<String, Object> done = remove("");
        assertThat(done).containsEntry("orphan_files_count", 3L);
        assertThat((String[]) done.get("first_orphan_files")).hasSize(3);
        assertThat(onDisk(trips.location())).isEqualTo(known);
        String quarantine = (String) done.get("quarantine");
        assertThat(quarantine)
                .matches("file://" + folder + "/warehouse/_quarantine/\\d{8}T\\d{6}Z");
        for (Path file : List.of(data, metadata, deep)) {
            assertThat(Path.of(path(quarantine) + "/file/-" + file)).hasContent("nobody's");
        }
        assertThat(rows(trips)).isEqualTo(before);
        assertThat(remove(""))
                .containsEntry("orphan_files_count", 0L)
                .containsEntry("listed_files_count", (long) known.size());
    }

    @Test
    void filesThatMayBeSharedAreKept() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        Path left = plant("data/left.parquet");
        age();
        trips.updateProperties().set("gc.enabled", "false").commit();
        for (String dryRun : List.of("TRUE", "FALSE")) {
            assertThatThrownBy(() -> remove(", dry_run => " + dryRun))
                    .hasMessageContaining("silver.trips has gc.enabled=false");
        }
        assertThat(left).exists();
    }

    @Test
    void aTableWithoutASnapshotKeepsItsMetadata() throws Exception {
        Path left = plant("data/left.parquet");
        age();
        assertThat(remove("")).containsEntry("orphan_files_count", 1L);
        assertThat(left).doesNotExist();
        assertThat(lake.load("silver.trips").schema().columns()).hasSize(6);
        assertThat(onDisk(trips.location() + "/metadata")).hasSize(1);
    }

    @Test
    void aFileIsRecognisedByEverySpellingOfItsPath() throws Exception {
        int i = 0;
        for (String prefix : List.of("file:/", "file:///", "/")) {
            DataFile file = Lakehouse.write(trips, JAN_5, trip(++i, JAN_5, 1, "a"));
            String spelled = prefix + path(file.location()).toString().substring(1);
            trips.newFastAppend()
                    .appendFile(
                            DataFiles.builder(trips.spec()).copy(file).withPath(spelled).build())
                    .commit();
        }
        age();
        assertThat(remove(", max_orphan_share => 1.0")).containsEntry("orphan_files_count", 0L);
        assertThat(rows(trips)).hasSize(3);
    }

    @Test
    void uncommittedFilesAreKept() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        age();
        DataFile written = Lakehouse.write(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        assertThat(remove("")).containsEntry("orphan_files_count", 0L);
        assertThatThrownBy(() -> remove(", older_than => TIMESTAMP '2100-01-01 00:00:00'"))
                .hasMessageContaining("allow_recent => true")
                .hasMessageContaining("2100-01-01");
        trips.newFastAppend().appendFile(written).commit();
        assertThat(rows(trips)).hasSize(2);

        plant("data/left.parquet");
        assertThat(remove(", older_than => TIMESTAMP '2100-01-01 00:00:00', allow_recent => true"))
                .containsEntry("orphan_files_count", 1L);
        assertThat(rows(trips)).hasSize(2);
    }

    @Test
    void filesThatARestoredJobWillCommitAreKept() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        String job = "aaaaaa00000000000000000000000000";
        Path state = folder.resolve("state/checkpoints/writer/" + job + "/chk-7");
        States.write(state);
        DataFile staged = stage(job, trip(2, JAN_5, 1, "a"));
        DataFile forgotten = stage(job.replace('a', 'b'), trip(3, JAN_5, 1, "a"));
        age();
        assertThat(remove("")).containsEntry("orphan_files_count", 2L);
        assertThat(path(forgotten.location())).doesNotExist();
        assertThat(path(staged.location())).exists();
        Files.delete(state.resolve("_metadata"));
        assertThat(remove("")).containsEntry("orphan_files_count", 2L);
        assertThat(path(staged.location())).doesNotExist();
    }

    @Test
    void stagedFilesAreKeptIfTheSavedStatesAreUnknown() throws Exception {
        lake.options.remove("maintenance.state-dir");
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        stage("aaaaaa00000000000000000000000000", trip(2, JAN_5, 1, "a"));
        age();
        assertThat(remove("")).containsEntry("orphan_files_count", 0L);
    }

    /**
     * A file that Flink's sink has written and that only the job's state references until the
     * commit.
     */
    private DataFile stage(String job, RowData row) throws IOException {
        DataFile file = Lakehouse.write(trips, JAN_5, row);
        var manifests =
                FlinkManifestUtil.createOutputFileFactory(
                        () -> trips, trips.properties(), job, "op", 0, 1);
        FlinkManifestUtil.writeCompletedFiles(
                WriteResult.builder().addDataFiles(file).build(),
                () -> manifests.create(7),
                trips.spec(),
                2);
        return file;
    }

    @Test
    void moreThanHalfIsRefused() throws Exception {
        for (int i = 0; i < 25; i++) {
            plant("data/left-" + i);
        }
        age();
        assertThatThrownBy(() -> remove(""))
                .hasMessageContaining("25 of 26 files")
                .hasMessageContaining("max_orphan_share");
        assertThat(onDisk(trips.location())).hasSize(26);
        assertThat(remove(", max_orphan_share => 0.97")).containsEntry("orphan_files_count", 25L);
    }

    @Test
    void aTableInsideAnotherIsSafe() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        Table inner = tableAt("silver.inner", "file:" + path(trips.location()) + "/inner");
        append(inner, JAN_5, trip(1, JAN_5, 1, "a"));
        age();
        assertThatThrownBy(() -> remove(", max_orphan_share => 1.0"))
                .hasMessageContaining("silver.inner")
                .hasMessageContaining("/inner");
        assertThat(remove(", location => '" + trips.location() + "/data'"))
                .containsEntry("orphan_files_count", 0L);
        assertThat(rows(inner)).hasSize(1);
    }

    @Test
    void aTableAroundAnotherIsSafe() throws Exception {
        Table inner = tableAt("silver.inner", trips.location() + "/data");
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        append(inner, JAN_5, trip(1, JAN_5, 1, "a"));
        age();
        assertThatThrownBy(() -> removeOf("silver.inner", ", max_orphan_share => 1.0"))
                .hasMessageContaining("Table lake.silver.trips keeps files at " + trips.location());
        assertThat(rows(trips)).hasSize(1);
    }

    @Test
    void aTableInsideAnotherIsSafeInAnyNamespace() throws Exception {
        for (String namespace : List.of("gold", "gold.daily", "gold.daily.draft")) {
            ((SupportsNamespaces) lake.catalog)
                    .createNamespace(Namespace.of(namespace.split("\\.")));
        }
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        Table inner = tableAt("gold.daily.draft.inner", trips.location() + "/inner");
        append(inner, JAN_5, trip(1, JAN_5, 1, "a"));
        age();
        assertThatThrownBy(() -> remove(", max_orphan_share => 1.0"))
                .hasMessageContaining("gold.daily.draft.inner");
        assertThat(rows(inner)).hasSize(1);
    }

    @Test
    void aFolderThatIsNotTheTablesIsRefused() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        Path elsewhere = Files.createDirectories(folder.resolve("warehouse/elsewhere"));
        Path somebodys = Files.writeString(elsewhere.resolve("somebodys"), "somebody's");
        Files.setLastModifiedTime(
                somebodys, FileTime.from(Instant.now().minus(Duration.ofDays(4))));
        assertThatThrownBy(() -> remove(", location => 'file:" + elsewhere + "'"))
                .hasMessageContaining(elsewhere + "' is not a folder of table lake.silver.trips");
        assertThatThrownBy(() -> remove(", location => '" + trips.location() + "/../../elsewhere'"))
                .hasMessageContaining("/../../elsewhere' is not a folder of table");
        trips.updateProperties().set("write.data.path", "file:" + elsewhere).commit();
        assertThat(remove(", location => 'file:" + elsewhere + "', max_orphan_share => 1.0"))
                .containsEntry("orphan_files_count", 1L);
    }

    @Test
    void aFolderWithTheSamePrefixInItsNameIsAnother() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        Table other = lake.table("silver.trips_2", Lakehouse.BY_DAY, Map.of());
        append(other, JAN_5, trip(1, JAN_5, 1, "a"));
        age();
        assertThat(remove("")).containsEntry("orphan_files_count", 0L);
        assertThat(rows(other)).hasSize(1);
    }

    @Test
    void anUnreadableManifestStopsTheRemoval() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        append(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        Path left = plant("data/left.parquet");
        String manifest = trips.currentSnapshot().allManifests(trips.io()).get(0).path();
        Files.writeString(path(manifest), "broken");
        Files.delete(path(manifest).resolveSibling("." + path(manifest).getFileName() + ".crc"));
        age();
        assertThatThrownBy(() -> remove(""));
        assertThat(left).exists();
    }

    @Test
    void aChecksumIsMovedWithItsFileAndOtherHiddenFilesAreKept() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        Path left = path(Lakehouse.write(trips, JAN_5, trip(2, JAN_5, 1, "a")).location());
        Path checksum = left.resolveSibling("." + left.getFileName() + ".crc");
        Path hidden = plant("data/_in_work");
        assertThat(checksum).exists();
        age();
        assertThat(remove("")).containsEntry("orphan_files_count", 1L);
        assertThat(left).doesNotExist();
        assertThat(checksum).doesNotExist();
        assertThat(hidden).exists();
    }

    @Test
    void filesInAHiddenFolderAreKeptUnlessItIsAPartition() throws Exception {
        Schema schema = new Schema(Types.NestedField.optional(1, "_col", Types.StringType.get()));
        Table logs =
                lake.catalog.createTable(
                        TableIdentifier.parse("silver.logs"),
                        schema,
                        PartitionSpec.builderFor(schema).identity("_col").build(),
                        path(trips.location()).getParent() + "/logs",
                        Map.of());
        trips = logs;
        List<Path> hidden = new ArrayList<>();
        for (String name :
                List.of(
                        "_delta_log/1.json",
                        "data/.hive-staging_1/part",
                        "data/_other=x/part",
                        "data/_col=x/_in_work",
                        "data/_col=x/.staging/part")) {
            hidden.add(plant(name));
        }
        Path left = plant("data/_col=x/left.parquet");
        age();
        assertThat(removeOf("silver.logs", "")).containsEntry("orphan_files_count", 1L);
        assertThat(left).doesNotExist();
        assertThat(hidden).allMatch(Files::exists);
    }

    @Test
    void aFileReferencedWithAnotherPrefixIsNotAnOrphan() throws Exception {
        DataFile file = Lakehouse.write(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        Path written = path(file.location());
        spell(file, "abfss://box@account" + written);
        age();
        assertThatThrownBy(() -> remove(", dry_run => TRUE"))
                .hasMessageContaining("abfss://box@account" + written)
                .hasMessageContaining("file:" + written)
                .hasMessageContaining("equal_schemes")
                .hasMessageContaining("prefix_mismatch_mode");
        assertThat((String[]) remove(orphans("ignore")).get("first_orphan_files"))
                .doesNotContain("file:" + written);
        assertThat((String[]) remove(orphans("DELETE")).get("first_orphan_files"))
                .contains("file:" + written);
        assertThatThrownBy(() -> remove(", equal_schemes => 'abfss'"))
                .hasMessageContaining("equal_schemes => 'abfss' is not of the form 'a=b,c=d'");
        assertThatThrownBy(() -> remove(orphans("none")))
                .hasMessageContaining("prefix_mismatch_mode => 'none' is not one of");
        assertThatThrownBy(() -> remove(", dry_run => TRUE, equal_schemes => 'abfss=file'"))
                .hasMessageContaining("equal_authorities");
        String equal =
                ", equal_schemes => 'abfs=file, abfss=file', equal_authorities =>"
                        + " 'box@account='";
        assertThat((String[]) remove(", dry_run => TRUE" + equal).get("first_orphan_files"))
                .doesNotContain("file:" + written);
        assertThat(written).exists();
    }

    @Test
    void theCaseOfASchemeIsIgnored() throws Exception {
        DataFile file = Lakehouse.write(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        spell(file, "FILE:" + path(file.location()));
        age();
        assertThat(remove("")).containsEntry("orphan_files_count", 0L);
    }

    /** Commits a file with another spelling of its path. */
    private void spell(DataFile file, String path) {
        DataFile spelled = DataFiles.builder(trips.spec()).copy(file).withPath(path).build();
        trips.newFastAppend().appendFile(spelled).commit();
    }

    private static String orphans(String mode) {
        return ", dry_run => TRUE, prefix_mismatch_mode => '" + mode + "'";
    }

    @Test
    void filesThatDisappearDuringTheListingAreSkipped() throws Exception {
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        AtomicBoolean done = new AtomicBoolean();
        CompletableFuture<Void> others =
                CompletableFuture.runAsync(
                        () -> {
                            try {
                                Deque<Path> there = new ArrayDeque<>();
                                for (int i = 0; !done.get(); i++) {
                                    there.add(plant("data/left-" + i));
                                    if (there.size() > 200) {
                                        Files.delete(there.remove());
                                    }
                                }
                            } catch (IOException error) {
                                throw new UncheckedIOException(error);
                            }
                        });
        try {
            for (int i = 0; i < 20; i++) {
                assertThat(remove("")).containsEntry("orphan_files_count", 0L);
            }
        } finally {
            done.set(true);
            others.get(1, TimeUnit.MINUTES);
        }
    }

    @Test
    void aMissingFolderIsRefused() {
        assertThatThrownBy(() -> remove(", location => '" + trips.location() + "/nowhere'"))
                .hasMessageContaining("/nowhere cannot be listed");
    }

    @Test
    void filesCommittedWhileTheyAreMovedAreRestored() throws Exception {
        lake.options.put("io-impl", MeddledFileIO.class.getName());
        append(trips, JAN_5, trip(1, JAN_5, 1, "a"));
        DataFile late = Lakehouse.write(trips, JAN_5, trip(2, JAN_5, 1, "a"));
        Path nobodys = plant("data/left.parquet");
        age();
        MeddledFileIO.MEANWHILE.set(() -> trips.newFastAppend().appendFile(late).commit());
        assertThat(remove("")).containsEntry("orphan_files_count", 1L);
        assertThat(MeddledFileIO.MEANWHILE).hasNullValue();
        assertThat(rows(trips)).hasSize(2);
        assertThat(nobodys).doesNotExist();
    }

    @Test
    void errorsNameTheExistingTables() {
        assertThatThrownBy(() -> lake.call("remove_orphan_files('silver.nothing')"))
                .hasMessageContaining("There is no table silver.nothing in catalog lake")
                .hasMessageContaining("[trips]");
        assertThatThrownBy(() -> lake.call("remove_orphan_files('gold.trips')"))
                .hasMessageContaining("the databases are [silver]");
        assertThatThrownBy(() -> lake.call("remove_orphan_files('trips')"))
                .hasMessageContaining("database.table");
        assertThatThrownBy(() -> remove(", location => 's3://elsewhere/trips'"))
                .hasMessageContaining("another store");
    }
}
